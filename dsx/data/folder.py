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

from dsx.data._arguments import path, whole
from dsx.data._base import Data, Dataset, Splits
from dsx.data._contents import Contents, named
from dsx.data._digests import digests_of
from dsx.data._duplicates import duplicates
from dsx.data._splits import PARTS, Numbers, Shares, divide, missing_classes, sources
from dsx.data.folders.files import FilePlace, Found, images
from dsx.data.folders.files import classes as classes_of
from dsx.data.folders.layout import stated_parts
from dsx.data.folders.split import read_split
from dsx.data.images import stream as _stream
from dsx.data.images.images import Handling
from dsx.errors import DsxError, printable, short

CHUNK = 2**20
"""Bytes of a file that are hashed at once."""


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

    The classes are the folders in `root`, in alphabetical order, each with images at any depth.
    Or all folders in `root` are called like parts (`train` or `Training`, `val`, `test_set`), with
    the same folders in each: without one for test, half of the validation images are for test;
    without one for validation, a share of the training images is for validation. A layout that
    could mean two things is refused until `parts` states what is meant.

    Each folder is read once, regardless of links. The notes of the splits count skipped entries.

    Args:
        root: The folder.
        size: Rows and columns of what the network takes.
        channels: 3 for RGB, to which grey images are converted; 1 for grey.
        classes: Number of classes; if it is given, the folder is not read before it is loaded.
        split: A CSV file with lines `class/image.jpg,train` (or `validation`, or `test`), the
            paths as they are in `root`; images that it does not name are left out.
        parts: Folder of each part inside `root`, such as `{train: Training, test: b/Testing}`;
            other folders are left out. `{}` states that each folder in `root` is a class.
        validation: Share of each class, where it is drawn.
        test: Share of each class, where it is drawn.
        split_seed: Random seed of the draw.
        memory: GiB that the decoded images may take in memory; more are decoded anew, each
            time they are needed.
        workers: Threads that decode.
        mean: Mean of each channel, in units from 0 to 1, as pretrained weights want it; by default
            that of up to 2,000 of the training images.
        deviation: Standard deviation of each channel, likewise.
        pixel_range: Black and white of pixels of over 8 bits; by default of the training images.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed, or the classes cannot be counted.
    """
    return _Folder(
        root=path("root", root),
        given_classes=None if classes is None else whole("classes", classes, 1),
        stated=stated_parts(parts),
        split=None if split is None else path("split", split),
        handling=Handling.of(size, channels, memory, workers, mean, deviation, pixel_range),
        shares=Shares(validation=validation, test=test, seed=split_seed),
    ).data()


@dataclass(frozen=True, kw_only=True)
class _Folder:
    root: Path
    given_classes: int | None
    stated: Mapping[str, str] | None
    split: Path | None
    handling: Handling
    shares: Shares

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the classes, which are not looked up if their number is given."""
        return classes_of(self.root, self.stated) if self.given_classes is None else []

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
        found, parts = self._divided()
        handling = self.handling
        if not handling.fits(parts):
            _stream.check(
                [found.places[number] for part in parts.values() for number in part],
                handling.decoder,
                handling.workers,
            )
        splits = handling.splits(found.places, np.array(found.labels), parts)
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
            described = sources(described, self.shares)
        of_parts = {part: labels[numbers] for part, numbers in parts.items()}
        return Contents.of(found.names, of_parts, described)

    @functools.cached_property
    def _inspected(self) -> tuple[Found, dict[str, Numbers]]:
        """The images and parts for a look at them, which lists the folders once."""
        return self._divided()

    def _divided(self) -> tuple[Found, dict[str, Numbers]]:
        found = images(self.root, self.stated)
        if len(found.names) != self.classes:
            raise DsxError(
                f"{self.root}: has {len(found.names)} classes (classes: {self.classes} are stated)"
                f": {named(found.names)}"
            )
        if self.split is not None:
            parts = read_split(self.split, self.root, found)
        else:
            parts = divide(found.parts, np.array(found.labels), found.names, self.shares)
        if len(found.names) == 1:
            raise DsxError(
                f"{self.root}: has only the class '{short(found.names[0])}' (allowed: two or more)"
            )
        return found, parts

    def _notes(self, found: Found, parts: Mapping[str, Numbers]) -> list[str]:
        def digests(numbers: Sequence[int]) -> list[str]:
            places = [found.places[number] for number in numbers]
            return [own for (own,) in digests_of(self.root, places, _digest, self.handling.workers)]

        skipped = f"{self.root}: {found.skipped}" if found.skipped else ""
        sizes = np.array([place.size for place in found.places])
        missing = "; ".join(missing_classes(parts, np.array(found.labels), found.names))
        return [note for note in (skipped, missing, duplicates(parts, sizes, digests)) if note]


def _digest(place: FilePlace) -> list[str]:
    digest = hashlib.sha256()
    with place.open() as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return [digest.hexdigest()]


DATASET = Dataset(open=open_folder)
