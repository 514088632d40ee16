"""Read which image of a folder is for training, validation or test."""

import csv
import io
import posixpath
from pathlib import Path

import numpy as np

from dsx.data._splits import PARTS, Numbers, part_of
from dsx.data.folders.files import Found
from dsx.errors import DsxError, did_you_mean
from dsx.files import open_regular


def read_split(file: Path, root: Path, found: Found) -> dict[str, Numbers]:
    """Read a CSV file with lines `class/image.jpg,train`.

    Args:
        file: The file.
        root: Folder of the images.
        found: The images in the folder.

    Returns:
        Numbers of the images of each part, in rising order.

    Raises:
        DsxError: If the file cannot be read, a line of it is wrong, or a part or the training
            images of a class are missing.
    """
    if found.folders:
        raise DsxError(f"split: {root} is already divided into {', '.join(found.parts)}")
    numbers = {place.name: number for number, place in enumerate(found.places)}
    given: dict[int, str] = {}
    try:
        with io.TextIOWrapper(open_regular(file), encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream, strict=True)
            for line in filter(None, lines):
                _note(line, f"{file}:{lines.line_num}", numbers, given, root)
    except OSError as error:
        raise DsxError(f"split: {file}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DsxError(f"split: {file}: is no CSV file in UTF-8: {error}") from error
    _check_complete(file, found, given)
    return {
        part: np.array(sorted(n for n, of in given.items() if of == part), dtype=np.int64)
        for part in PARTS
    }


def _note(
    line: list[str], where: str, numbers: dict[str, int], given: dict[int, str], root: Path
) -> None:
    if len(line) != 2:
        raise DsxError(f"{where}: {len(line)} columns (allowed: path,{' or '.join(PARTS)})")
    name, word = (word.strip() for word in line)
    part = part_of(word)
    if part is None:
        near = did_you_mean(word, PARTS)
        raise DsxError(f"{where}: part '{word}' (allowed: {', '.join(PARTS)}).{near}")
    number = numbers.get(posixpath.normpath(name))
    if number is None:
        raise DsxError(f"{where}: no image '{name}' in a class of {root}")
    if number in given:
        raise DsxError(f"{where}: '{name}' is named a second time")
    given[number] = part


def _check_complete(file: Path, found: Found, given: dict[int, str]) -> None:
    for part in PARTS:
        if part not in given.values():
            raise DsxError(f"{file}: no image is for {part}")
    trained = {found.labels[number] for number, part in given.items() if part == "train"}
    for label, name in enumerate(found.names):
        if label not in trained:
            raise DsxError(f"{file}: class '{name}' has no images to train on")
