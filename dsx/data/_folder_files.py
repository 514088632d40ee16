"""Find the images of a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dsx.data._decode import formats
from dsx.data._parts import WORDS, Numbers
from dsx.data._walk import Walk
from dsx.errors import DsxError
from dsx.files import open_regular


class FilePlace(NamedTuple):
    """An image in a file of its own.

    Args:
        root: Folder of the data set.
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
        """Number of images in the file."""
        return 1

    @property
    def identity(self) -> str:
        """Name and size."""
        return f"{self.name}:{self.size}"

    def open(self) -> BinaryIO:
        """Open the file."""
        return open_regular(Path(self.root, self.name))

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The images of a folder.

    Args:
        names: Names of the classes.
        places: Location of each image.
        labels: Class of each image.
        parts: Numbers of the images of each part; all are for training if there are no parts.
        divided: Whether the folder has parts.
        skipped: Description of what was not read; empty if everything was.
    """

    names: list[str]
    places: list[FilePlace]
    labels: list[int]
    parts: dict[str, Numbers]
    divided: bool
    skipped: str


def classes(root: Path) -> list[str]:
    """List the classes of a folder.

    Args:
        root: Folder of the data set.

    Returns:
        Names in alphabetical order.

    Raises:
        DsxError: If the folder cannot be read or has no classes, or two folders are for the same
            part.
    """
    walk = Walk(root)
    return [_class(folder) for folder in _class_folders(walk, _part_folders(walk).get("train", ""))]


def _class(folder: str) -> str:
    return folder.rpartition("/")[2]


def _part_folders(walk: Walk) -> dict[str, str]:
    """Find the folders of parts; none if the folders in the root are classes."""
    found: dict[str, str] = {}
    for name in _folders(walk, ""):
        if part := WORDS.get(name):
            if part in found:
                raise DsxError(f"{walk.root}: has both '{found[part]}' and '{name}' for {part}")
            found[part] = name
    return found if "train" in found and len(found) > 1 else {}


def _folders(walk: Walk, folder: str) -> list[str]:
    try:
        return walk.folders(folder)
    except DsxError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise DsxError(
            f"{walk.root / folder}: there is no such folder (put a folder of images for each class "
            "there, or the folders train and val with a folder for each class in both)"
        ) from error


def _class_folders(walk: Walk, folder: str) -> list[str]:
    found = _folders(walk, folder)
    if not found:
        raise DsxError(
            f"{walk.root / folder}: has no folders (allowed: a folder of images for each class)"
            + _after(walk)
        )
    return found


def _after(walk: Walk) -> str:
    """Name what was skipped, after a message about what is missing."""
    return f"; {walk}" if walk.skipped else ""


def images(root: Path) -> Found:
    """Find all images.

    Args:
        root: Folder of the data set.

    Returns:
        The images, part by part, class by class, in alphabetical order.

    Raises:
        DsxError: If the folder or a class in it has none.
    """
    walk = Walk(root)
    divided = _part_folders(walk)
    outer = divided or {"train": ""}
    tops = [(part, top) for part, folder in outer.items() for top in _class_folders(walk, folder)]
    names = [_class(folder) for part, folder in tops if part == "train"]
    numbers = {name: number for number, name in enumerate(names)}
    for _, folder in tops:
        if _class(folder) not in numbers:
            raise DsxError(f"{root / folder}: no such class in {root / outer['train']}")
    suffixes = {suffix for of_format in formats().values() for suffix in of_format}
    listed = walk.files([folder for _, folder in tops], suffixes, unit="image")
    places: list[FilePlace] = []
    labels: list[int] = []
    parts: dict[str, list[int]] = {part: [] for part in outer}
    for (part, folder), files in zip(tops, listed, strict=True):
        if not files:
            raise DsxError(f"{root / folder}: has no images{_after(walk)}")
        parts[part] += range(len(places), len(places) + len(files))
        places += (FilePlace(str(root), *file) for file in files)
        labels += [numbers[_class(folder)]] * len(files)
    return Found(
        names=names,
        places=places,
        labels=labels,
        parts={part: np.array(of_part, dtype=np.int64) for part, of_part in parts.items()},
        divided=bool(divided),
        skipped=str(walk),
    )
