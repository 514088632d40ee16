"""Parquet: images in the rows of Parquet files, as on the Hugging Face Hub.

Source: Q. Lhoest et al., Datasets: A Community Library for Natural Language Processing, EMNLP
(2021); the layout is that of the library's `ImageFolder` and `push_to_hub`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsx.data._arguments import path, whole
from dsx.data._base import Data, Dataset, Splits
from dsx.data._contents import Contents, named, numbered
from dsx.data._parquet_files import Columns, Table, open_tables, read_group
from dsx.data._parquet_groups import duplicate_rows
from dsx.data._splits import PARTS, Numbers, Shares, divide, missing_classes, sources
from dsx.data.images.images import Handling
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

    A file belongs to the part that the words of its path name: `data/train-00000-of-00005.parquet`,
    `validation.parquet`, `test/0000.parquet`. Without a part for test, half of the validation
    images are for test; without one for validation, a share of the training images is for
    validation.

    Args:
        root: A file, or a folder with files at any depth.
        size: Rows and columns of what the network takes.
        channels: 3 for RGB, to which grey images are converted; 1 for grey.
        classes: Number of classes; if it is given, the files are not read before they are loaded.
            By default as many as the files name, or one more than the largest label.
        image_column: Column of the images: a struct with the field `bytes`, or plain bytes.
        label_column: Column of the labels: whole numbers from 0.
        validation: Share of each class, where it is drawn.
        test: Share of each class, where it is drawn.
        split_seed: Random seed of the draw.
        memory: GiB that the decoded images may take in memory; more are decoded anew, each
            time they are needed.
        workers: Threads that decode.
        mean: Mean of each channel, in units from 0 to 1, as pretrained weights want it; by default
            that of up to 2,000 of the training images.
        deviation: Standard deviation of each channel, likewise.
        pixel_range: Values of black and white of pixels of more than 8 bits; by default as many
            bits as the training images need.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed, or the classes cannot be counted.
    """
    return _Files(
        root=path("root", root),
        columns=Columns(image=image_column, label=label_column),
        given_classes=None if classes is None else whole("classes", classes, 1),
        handling=Handling.of(size, channels, memory, workers, mean, deviation, pixel_range),
        shares=Shares(validation=validation, test=test, seed=split_seed),
    ).data()


def _class_names(tables: Sequence[Table]) -> list[str]:
    """Give the names of the classes, nothing if no file has them."""
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
    handling: Handling
    shares: Shares

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the classes, which are not looked up if their number is given."""
        if self.given_classes is not None:
            return []
        tables, _ = open_tables(self.root, self.columns)
        return _class_names(tables) or numbered(1 + max(t.largest_label() for t in tables))

    @property
    def classes(self) -> int:
        return len(self.names) if self.given_classes is None else self.given_classes

    def data(self) -> Data:
        return replace(
            self.handling.data(self.classes, self.load, self.inspect),
            class_names=self.names,
            contents=self.contents,
        )

    def load(self) -> Splits:
        read = self._divided()
        if not self.handling.fits(read.parts):
            for table in read.tables:
                table.check_groups()
        places = [place for table in read.tables for place in table.places()]
        try:
            splits = self.handling.splits(places, read.labels, read.parts)
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
        described = sources({part: named(of) for part, of in files.items() if of}, self.shares)
        of_parts = {part: read.labels[numbers] for part, numbers in read.parts.items()}
        return Contents.of(read.names, of_parts, described)

    @functools.cached_property
    def _inspected(self) -> _Rows:
        """The rows and parts for a look at them, which reads the labels once."""
        return self._divided()

    def _divided(self) -> _Rows:
        tables, skipped = open_tables(self.root, self.columns)
        names = _class_names(tables) or numbered(self.classes)
        if len(names) != self.classes:
            raise DsxError(
                f"{self.root} ({named(names)}): names {len(names)} classes (classes: "
                f"{self.classes} are stated)"
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
            parts=divide(found, joined, names, self.shares),
        )

    def _notes(self, read: _Rows) -> list[str]:
        skipped = f"{self.root}: {read.skipped}" if read.skipped else ""
        missing = "; ".join(missing_classes(read.parts, read.labels, read.names))
        found = duplicate_rows(self.root, read.tables, read.parts, self.handling.workers)
        return [note for note in (skipped, missing, found) if note]


DATASET = Dataset(open=open_parquet)
