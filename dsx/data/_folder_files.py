"""Find the pictures of a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dsx.data._decode import formats
from dsx.data._parts import WORDS, Numbers
from dsx.errors import DsxError


class FilePlace(NamedTuple):
    """A picture in a file of its own.

    Args:
        root: Folder of the data set.
        name: Path of the file in it, with slashes.
        size: Of the file, in bytes.
    """

    root: str
    name: str
    size: int

    @property
    def identity(self) -> str:
        """Name and size."""
        return f"{self.name}:{self.size}"

    def open(self) -> BinaryIO:
        """Open the file."""
        return Path(self.root, self.name).open("rb")

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The pictures of a folder.

    Args:
        names: Of the classes.
        places: Where each picture lies.
        labels: Class of each picture.
        parts: Numbers of the pictures of each part; all are for training if there are no parts.
        divided: Whether the folder has parts.
    """

    names: list[str]
    places: list[FilePlace]
    labels: list[int]
    parts: dict[str, Numbers]
    divided: bool


def part_folders(root: Path) -> dict[str, Path]:
    """Find the folders of parts.

    Args:
        root: Folder of the data set.

    Returns:
        Folder by part; nothing if the folders in `root` are classes.

    Raises:
        DsxError: If the folder is not there, or two folders are for the same part.
    """
    found: dict[str, Path] = {}
    for name in folders(root):
        if part := WORDS.get(name):
            if part in found:
                raise DsxError(f"{root}: has both '{found[part].name}' and '{name}' for {part}")
            found[part] = root / name
    return found if "train" in found and len(found) > 1 else {}


def folders(folder: Path) -> list[str]:
    """List the folders in a folder, hidden ones left out.

    Args:
        folder: The outer folder.

    Returns:
        Names in alphabetical order.

    Raises:
        DsxError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except FileNotFoundError as error:
        raise DsxError(
            f"{folder}: there is no such folder (put a folder of pictures for each class there, "
            "or the folders train and val with a folder for each class in both)"
        ) from error
    except OSError as error:
        raise DsxError(f"{folder}: cannot be read: {error.strerror or error}") from error


def class_names(folder: Path) -> list[str]:
    """List the classes of a folder; arguments and errors as `folders`, and one for no class."""
    names = folders(folder)
    if not names:
        raise DsxError(f"{folder}: has no folders (allowed: a folder of pictures for each class)")
    return names


def pictures(root: Path) -> Found:
    """Find all pictures.

    Args:
        root: Folder of the data set.

    Returns:
        The pictures, part by part, class by class, in alphabetical order.

    Raises:
        DsxError: If the folder or a class in it has none.
    """
    divided = part_folders(root)
    outer = divided or {"train": root}
    names = class_names(outer["train"])
    numbers = {name: number for number, name in enumerate(names)}
    places: list[FilePlace] = []
    labels: list[int] = []
    parts: dict[str, Numbers] = {}
    for part, folder in outer.items():
        first = len(places)
        for name in class_names(folder):
            if name not in numbers:
                raise DsxError(f"{folder / name}: no such class in {outer['train']}")
            before = len(places)
            places.extend(_files(root, folder / name))
            if len(places) == before:
                raise DsxError(f"{folder / name}: has no pictures")
            labels.extend([numbers[name]] * (len(places) - before))
        parts[part] = np.arange(first, len(places))
    return Found(names=names, places=places, labels=labels, parts=parts, divided=bool(divided))


def _files(root: Path, folder: Path) -> Iterator[FilePlace]:
    """Walk over the files in a folder that have a suffix of pictures, hidden ones left out."""
    known = {suffix for suffixes in formats().values() for suffix in suffixes}
    for base, inner, files in os.walk(folder, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            file = Path(base, name)
            if file.suffix.lower() in known and not name.startswith("."):
                try:
                    size = file.stat().st_size
                except OSError as error:
                    raise DsxError(f"{file}: cannot be read: {error.strerror}") from error
                yield FilePlace(str(root), file.relative_to(root).as_posix(), size)
