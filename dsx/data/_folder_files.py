"""Find the pictures of a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dsx.data._decode import formats
from dsx.data._parts import WORDS, Numbers
from dsx.data._walk import Walk, open_regular
from dsx.errors import DsxError


class FilePlace(NamedTuple):
    """A picture in a file of its own.

    Args:
        root: Folder of the data set.
        name: Path of the file in it, with slashes.
        size: Of the file, in bytes.
        modified: Modification time of the file in nanoseconds.
    """

    root: str
    name: str
    size: int
    modified: int = 0

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
    """The pictures of a folder.

    Args:
        names: Of the classes.
        places: Where each picture lies.
        labels: Class of each picture.
        parts: Numbers of the pictures of each part; all are for training if there are no parts.
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
    return _class_names(walk, _part_folders(walk).get("train", root))


def _part_folders(walk: Walk) -> dict[str, Path]:
    """Find the folders of parts; none if the folders in the root are classes."""
    found: dict[str, Path] = {}
    for name in _folders(walk, walk.root):
        if part := WORDS.get(name):
            if part in found:
                raise DsxError(
                    f"{walk.root}: has both '{found[part].name}' and '{name}' for {part}"
                )
            found[part] = walk.root / name
    return found if "train" in found and len(found) > 1 else {}


def _folders(walk: Walk, folder: Path) -> list[str]:
    try:
        return walk.folders(folder)
    except DsxError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise DsxError(
            f"{folder}: there is no such folder (put a folder of pictures for each class there, "
            "or the folders train and val with a folder for each class in both)"
        ) from error


def _class_names(walk: Walk, folder: Path) -> list[str]:
    names = _folders(walk, folder)
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
    walk = Walk(root)
    divided = _part_folders(walk)
    outer = divided or {"train": root}
    named = {part: _class_names(walk, folder) for part, folder in outer.items()}
    numbers = {name: number for number, name in enumerate(named["train"])}
    tops = [(part, outer[part] / name) for part, names in named.items() for name in names]
    for _, folder in tops:
        if folder.name not in numbers:
            raise DsxError(f"{folder}: no such class in {outer['train']}")
    suffixes = {suffix for of_format in formats().values() for suffix in of_format}
    places: list[FilePlace] = []
    labels: list[int] = []
    parts: dict[str, list[int]] = {part: [] for part in outer}
    for (part, folder), files in zip(
        tops, walk.files([folder for _, folder in tops], suffixes), strict=True
    ):
        if not files:
            raise DsxError(f"{folder}: has no pictures" + (f" ({walk})" if walk.skipped else ""))
        parts[part] += range(len(places), len(places) + len(files))
        places += [
            FilePlace(
                str(root), file.relative_to(root).as_posix(), found.st_size, found.st_mtime_ns
            )
            for file, found in files
        ]
        labels += [numbers[folder.name]] * len(files)
    return Found(
        names=named["train"],
        places=places,
        labels=labels,
        parts={part: np.array(of_part, dtype=np.int64) for part, of_part in parts.items()},
        divided=bool(divided),
        skipped=str(walk),
    )
