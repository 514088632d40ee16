"""Files that assign the images of a folder to training, validation or test."""

import csv
import io
import posixpath
from pathlib import Path

import numpy as np

from dsx.data._splits import PARTS, Numbers, parse_part
from dsx.data.folders.files import FoundImages
from dsx.errors import DsxError, did_you_mean
from dsx.files import open_regular


def read_split(file: Path, root: Path, found: FoundImages) -> dict[str, Numbers]:
    """Read a CSV file with lines `class/image.jpg,train`.

    Args:
        file: Path of the file.
        root: Folder of the images.
        found: Images in the folder.

    Returns:
        Numbers of the images of each split, in ascending order.

    Raises:
        DsxError: If the file cannot be read, a line is invalid, or a split or the training images
            of a class are missing.
    """
    if found.folders:
        raise DsxError(f"split: {root} is already divided into {', '.join(found.parts)}")
    numbers = {place.name: number for number, place in enumerate(found.places)}
    given: dict[int, str] = {}
    try:
        with io.TextIOWrapper(open_regular(file), encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream, strict=True)
            for line in filter(None, lines):
                _parse(line, f"{file}:{lines.line_num}", numbers, given, root)
    except OSError as error:
        raise DsxError(f"split: {file}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DsxError(f"split: {file}: is not a CSV file in UTF-8: {error}") from error
    _check_complete(file, found, given)
    return {
        part: np.array(sorted(n for n, p in given.items() if p == part), dtype=np.int64)
        for part in PARTS
    }


def _parse(
    line: list[str], where: str, numbers: dict[str, int], given: dict[int, str], root: Path
) -> None:
    if len(line) != 2:
        raise DsxError(f"{where}: {len(line)} columns (allowed: path,{' or '.join(PARTS)})")
    name, part_name = (field.strip() for field in line)
    part = parse_part(part_name)
    if part is None:
        near = did_you_mean(part_name, PARTS)
        raise DsxError(f"{where}: split '{part_name}' (allowed: {', '.join(PARTS)}).{near}")
    number = numbers.get(posixpath.normpath(name))
    if number is None:
        raise DsxError(f"{where}: no image '{name}' in a class of {root}")
    if number in given:
        raise DsxError(f"{where}: '{name}' is listed twice")
    given[number] = part


def _check_complete(file: Path, found: FoundImages, given: dict[int, str]) -> None:
    for part in PARTS:
        if part not in given.values():
            raise DsxError(f"{file}: has no images for {part}")
    trained = {found.labels[number] for number, part in given.items() if part == "train"}
    for label, name in enumerate(found.names):
        if label not in trained:
            raise DsxError(f"{file}: class '{name}' has no training images")
