"""Folder: images of any format, one folder per class.

Source: the layout of J. Deng et al., ImageNet: A Large-Scale Hierarchical Image Database, CVPR
(2009), as torchvision's ImageFolder reads it; the square of 7/8 of the shorter side is that of
A. Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS (2012).
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsx.data._arguments import check_integer, check_path
from dsx.data._base import Data, Dataset, Splits
from dsx.data._contents import Contents, named
from dsx.data._digests import cached_digests
from dsx.data._duplicates import find_duplicates
from dsx.data._splits import (
    PARTS,
    Fractions,
    Numbers,
    complete_parts,
    describe_sources,
    find_missing_classes,
)
from dsx.data.folders.files import FilePlace, FoundImages, images
from dsx.data.folders.files import classes as classes_of
from dsx.data.folders.layout import stated_parts
from dsx.data.folders.split import read_split
from dsx.data.images import stream as _stream
from dsx.data.images.images import ImageLoader
from dsx.errors import DsxError, printable, short

CHUNK = 2**20
"""Number of bytes of a file that are hashed at once."""


def open_folder(
    root: str,
    size: int = 224,
    channels: int = 3,
    classes: int | None = None,
    split: str | None = None,
    parts: Mapping[str, str] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
    memory: float = 2,
    workers: int = 2,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
    pixel_range: Sequence[float] | None = None,
) -> Data:
    """Open a folder of images.

    The classes are the folders in `root` in alphabetical order, each with images at any depth.
    Alternatively, all folders in `root` have names of splits (`train` or `Training`, `val`,
    `test_set`) and contain the same class folders: without a folder for test, half of the
    validation images are used for test; without a folder for validation, a fraction of the training
    images is used for validation. An ambiguous layout is rejected unless `parts` specifies it.

    Each folder is read once, regardless of links. The notes of the splits count skipped entries.

    Args:
        root: Path of the folder.
        size: Height and width of the input of the network.
        channels: 3 for RGB, to which grey images are converted; 1 for grey.
        classes: Number of classes; if it is given, the folder is not read before loading.
        split: Path of a CSV file with lines `class/image.jpg,train` (or `validation`, or `test`),
            with paths relative to `root`; images that it does not list are ignored.
        parts: Folder of each split inside `root`, such as `{train: Training, test: b/Testing}`;
            other folders are ignored. `{}` specifies that each folder in `root` is a class.
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
            determined from the training images.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed, or the classes cannot be determined.
    """
    return _Folder(
        root=check_path("root", root),
        given_classes=None if classes is None else check_integer("classes", classes, 1),
        stated=stated_parts(parts),
        split=None if split is None else check_path("split", split),
        loader=ImageLoader.of(size, channels, memory, workers, mean, deviation, pixel_range),
        shares=Fractions(validation=validation, test=test, seed=split_seed),
    ).data()


@dataclass(frozen=True, kw_only=True)
class _Folder:
    root: Path
    given_classes: int | None
    stated: Mapping[str, str] | None
    split: Path | None
    loader: ImageLoader
    shares: Fractions

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the classes, which are not determined if their number is given."""
        return classes_of(self.root, self.stated) if self.given_classes is None else []

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
        found, parts = self._divided()
        loader = self.loader
        if not loader.fits(parts):
            _stream.check(
                [found.places[number] for numbers in parts.values() for number in numbers],
                loader.decoder,
                loader.workers,
            )
        splits = loader.splits(found.places, np.array(found.labels), parts)
        return replace(splits, notes=[*splits.notes, *self._notes(found, parts)])

    def inspect(self) -> list[str]:
        return self._notes(*self._inspected)

    def contents(self) -> Contents:
        found, parts = self._inspected
        labels = np.array(found.labels)
        if self.split is not None:
            described = dict.fromkeys(PARTS, f"file '{printable(self.split.name)}'")
        else:
            outer = found.folders or {"train": "the folders of the classes"}
            quote = "folder '{}'" if found.folders else "{}"
            described = {part: quote.format(printable(folder)) for part, folder in outer.items()}
            described = describe_sources(described, self.shares)
        split_labels = {part: labels[numbers] for part, numbers in parts.items()}
        return Contents.of(found.names, split_labels, described)

    @functools.cached_property
    def _inspected(self) -> tuple[FoundImages, dict[str, Numbers]]:
        """The images and splits for inspection, for which the folders are listed once."""
        return self._divided()

    def _divided(self) -> tuple[FoundImages, dict[str, Numbers]]:
        found = images(self.root, self.stated)
        if len(found.names) != self.classes:
            raise DsxError(
                f"{self.root}: has {len(found.names)} classes, not {self.classes} as specified by "
                f"classes: {named(found.names)}"
            )
        if self.split is not None:
            parts = read_split(self.split, self.root, found)
        else:
            parts = complete_parts(found.parts, np.array(found.labels), found.names, self.shares)
        if len(found.names) == 1:
            raise DsxError(
                f"{self.root}: has only the class '{short(found.names[0])}' (allowed: two or more)"
            )
        return found, parts

    def _notes(self, found: FoundImages, parts: Mapping[str, Numbers]) -> list[str]:
        def digests(numbers: Sequence[int]) -> list[str]:
            places = [found.places[number] for number in numbers]
            return [
                own for (own,) in cached_digests(self.root, places, _digest, self.loader.workers)
            ]

        skipped = f"{self.root}: {found.skipped}" if found.skipped else ""
        sizes = np.array([place.size for place in found.places])
        missing = "; ".join(find_missing_classes(parts, np.array(found.labels), found.names))
        return [note for note in (skipped, missing, find_duplicates(parts, sizes, digests)) if note]


def _digest(place: FilePlace) -> list[str]:
    digest = hashlib.sha256()
    with place.open() as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return [digest.hexdigest()]


DATASET = Dataset(open=open_folder)
