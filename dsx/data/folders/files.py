"""Images of a folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dsx.data._splits import Numbers
from dsx.data.folders.layout import class_of, find_layout, skipped_note
from dsx.data.folders.walk import Walk
from dsx.data.images.decode import suffixes
from dsx.errors import DsxError
from dsx.files import open_regular


class FilePlace(NamedTuple):
    """Location of an image in its own file.

    Args:
        root: Folder of the dataset.
        name: Path of the file relative to the root, with slashes.
        size: Size of the file in bytes.
        modified: Modification time of the file in nanoseconds.
    """

    root: str
    name: str
    size: int
    modified: int = 0

    @property
    def images(self) -> int:
        """The number of images in the file."""
        return 1

    @property
    def identity(self) -> str:
        """Name and size of the file."""
        return f"{self.name}:{self.size}"

    def open(self) -> BinaryIO:
        """Open the file.

        Returns:
            A stream of its bytes.
        """
        return open_regular(Path(self.root, self.name))

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """Images of a folder.

    Args:
        names: Names of the classes.
        places: Location of each image.
        labels: Class of each image.
        parts: Numbers of the images of each split; all images are for training if there are no
            splits.
        folders: Folder of each split relative to the root; empty if the folder is not divided.
        skipped: Description of the entries that were not read; empty if there are none.
    """

    names: list[str]
    places: list[FilePlace]
    labels: list[int]
    parts: dict[str, Numbers]
    folders: Mapping[str, str]
    skipped: str


def classes(root: Path, stated: Mapping[str, str] | None = None) -> list[str]:
    """List the classes of a folder.

    Args:
        root: Folder of the dataset.
        stated: Specified folder of each split; see `find_layout`.

    Returns:
        Names in alphabetical order.

    Raises:
        DsxError: If the folder cannot be read or has no classes, or its layout is ambiguous.
    """
    return find_layout(Walk(root), stated).names


def images(root: Path, stated: Mapping[str, str] | None = None) -> FoundImages:
    """Find all images.

    Args:
        root: Folder of the dataset.
        stated: Specified folder of each split; see `find_layout`.

    Returns:
        The images, ordered by split, class and name.

    Raises:
        DsxError: If the folder or one of its classes has no images, or its layout is ambiguous.
    """
    walk = Walk(root)
    layout = find_layout(walk, stated)
    label_of = {name: number for number, name in enumerate(layout.names)}
    for _, folder in layout.classes:
        if class_of(folder) not in label_of:
            train = root / layout.parts["train"]
            raise DsxError(f"{root / folder}: no such class in {train}")
    listed = walk.files([folder for _, folder in layout.classes], suffixes(), unit="image")
    places: list[FilePlace] = []
    labels: list[int] = []
    parts: dict[str, list[int]] = {part: [] for part, _ in layout.classes}
    for (part, folder), files in zip(layout.classes, listed, strict=True):
        if not files:
            raise DsxError(f"{root / folder}: has no images{skipped_note(walk)}")
        parts[part] += range(len(places), len(places) + len(files))
        places += (FilePlace(str(root), *file) for file in files)
        labels += [label_of[class_of(folder)]] * len(files)
    return FoundImages(
        names=layout.names,
        places=places,
        labels=labels,
        parts={part: np.array(numbers, dtype=np.int64) for part, numbers in parts.items()},
        folders=layout.parts,
        skipped=str(walk),
    )
