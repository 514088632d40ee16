"""Parquet: images in the rows of Parquet files, as on the Hugging Face Hub.

Source: Q. Lhoest et al., Datasets: A Community Library for Natural Language Processing, EMNLP
(2021); the layout is that of the library's `ImageFolder` and `push_to_hub`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsx.data._arguments import check_integer, check_path
from dsx.data._base import Data, Dataset, Splits
from dsx.data._contents import Contents, named, number_classes
from dsx.data._parquet_files import Columns, Table, open_tables, read_group
from dsx.data._parquet_groups import find_duplicate_rows
from dsx.data._splits import (
    PARTS,
    Fractions,
    Numbers,
    complete_parts,
    describe_sources,
    find_missing_classes,
)
from dsx.data.images.images import ImageLoader
from dsx.errors import DsxError, printable


def open_parquet(
    root: str,
    size: int = 224,
    channels: int = 3,
    classes: int | None = None,
    image_column: str = "image",
    label_column: str = "label",
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
    memory: float = 2,
    workers: int = 2,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
    pixel_range: Sequence[float] | None = None,
) -> Data:
    """Open the images of Parquet files.

    A file belongs to the split that the words of its path denote:
    `data/train-00000-of-00005.parquet`, `validation.parquet`, `test/0000.parquet`. Without files
    for test, half of the validation images are used for test; without files for validation, a
    fraction of the training images is used for validation.

    Args:
        root: Path of a file, or of a folder with files at any depth.
        size: Height and width of the input of the network.
        channels: 3 for RGB, to which grey images are converted; 1 for grey.
        classes: Number of classes; if it is given, the files are not read before loading. By
            default the number of class names in the files, or the largest label plus one.
        image_column: Name of the column of the images: a struct with the field `bytes`, or plain
            bytes.
        label_column: Name of the column of the labels: integers of at least 0.
        validation: Fraction of each class that is sampled for validation.
        test: Fraction of each class that is sampled for test.
        split_seed: Random seed of the sampling.
        memory: Memory limit for decoded images in GiB; if it is exceeded, images are decoded each
            time they are needed.
        workers: Number of threads that decode images.
        mean: Mean of each channel in units from 0 to 1, as for pretrained weights; by default that
            of up to 2,000 training images.
        deviation: Standard deviation of each channel in the same units.
        pixel_range: Values of black and white of pixels with more than 8 bits; by default
            determined from the number of bits that the training images require.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed, or the classes cannot be determined.
    """
    return _Files(
        root=check_path("root", root),
        columns=Columns(image=image_column, label=label_column),
        given_classes=None if classes is None else check_integer("classes", classes, 1),
        loader=ImageLoader.of(size, channels, memory, workers, mean, deviation, pixel_range),
        shares=Fractions(validation=validation, test=test, seed=split_seed),
    ).data()


def _class_names(tables: Sequence[Table]) -> list[str]:
    """Return the names of the classes; an empty list if no file has them."""
    return next((table.class_names for table in tables if table.class_names), [])


@dataclass(frozen=True, kw_only=True)
class _Rows:
    tables: list[Table]
    skipped: str
    names: Sequence[str]
    labels: Numbers
    parts: dict[str, Numbers]


@dataclass(frozen=True, kw_only=True)
class _Files:
    root: Path
    columns: Columns
    given_classes: int | None
    loader: ImageLoader
    shares: Fractions

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the classes, which are not determined if their number is given."""
        if self.given_classes is not None:
            return []
        tables, _ = open_tables(self.root, self.columns)
        return _class_names(tables) or number_classes(1 + max(t.largest_label() for t in tables))

    @property
    def classes(self) -> int:
        return len(self.names) if self.given_classes is None else self.given_classes

    def data(self) -> Data:
        return replace(
            self.loader.data(self.classes, self.load, self.inspect),
            class_names=self.names,
            contents=self.contents,
        )

    def load(self) -> Splits:
        read = self._divided()
        if not self.loader.fits(read.parts):
            for table in read.tables:
                table.check_groups()
        places = [place for table in read.tables for place in table.places()]
        try:
            splits = self.loader.splits(places, read.labels, read.parts)
        finally:
            read_group.cache_clear()
        return replace(splits, notes=[*splits.notes, *self._notes(read)])

    def inspect(self) -> list[str]:
        return self._notes(self._inspected)

    def contents(self) -> Contents:
        read = self._inspected
        files = {
            part: [printable(table.name) for table in read.tables if table.part == part]
            for part in PARTS
        }
        found = {part: named(names) for part, names in files.items() if names}
        described = describe_sources(found, self.shares)
        split_labels = {part: read.labels[numbers] for part, numbers in read.parts.items()}
        return Contents.of(read.names, split_labels, described)

    @functools.cached_property
    def _inspected(self) -> _Rows:
        """The rows and splits for inspection, for which the labels are read once."""
        return self._divided()

    def _divided(self) -> _Rows:
        tables, skipped = open_tables(self.root, self.columns)
        names = _class_names(tables) or number_classes(self.classes)
        if len(names) != self.classes:
            raise DsxError(
                f"{self.root} ({named(names)}): has {len(names)} class names, not "
                f"{self.classes} as specified by classes"
            )
        labels = [table.labels(self.classes) for table in tables]
        ends = np.cumsum([len(each) for each in labels])
        found = {
            part: np.concatenate([
                np.arange(end - len(of), end)
                for table, of, end in zip(tables, labels, ends, strict=True) if table.part == part
            ])
            for part in {table.part for table in tables}
        }  # fmt: skip
        joined = np.concatenate(labels)
        return _Rows(
            tables=tables,
            skipped=skipped,
            names=names,
            labels=joined,
            parts=complete_parts(found, joined, names, self.shares),
        )

    def _notes(self, read: _Rows) -> list[str]:
        skipped = f"{self.root}: {read.skipped}" if read.skipped else ""
        missing = "; ".join(find_missing_classes(read.parts, read.labels, read.names))
        found = find_duplicate_rows(self.root, read.tables, read.parts, self.loader.workers)
        return [note for note in (skipped, missing, found) if note]


DATASET = Dataset(open=open_parquet)
