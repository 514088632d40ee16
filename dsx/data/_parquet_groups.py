"""Duplicates among the images of Parquet files, which are hashed one row group at a time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsx.data._digests import digests_of
from dsx.data._duplicates import LIMIT, SAMPLE, duplicates, is_sampled
from dsx.data._parquet_files import Table, content_of, read_batches
from dsx.data._splits import PARTS, Numbers


@dataclass(frozen=True, kw_only=True)
class Group:
    """A row group of a Parquet file, which is hashed as a whole.

    Args:
        table: The file.
        number: Number of the row group in the file.
    """

    table: Table
    number: int

    @property
    def name(self) -> str:
        """Path of the file in the data set, and the number of the row group."""
        return f"{self.table.name}#{self.number}"

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.table.size

    @property
    def modified(self) -> int:
        """Modification time of the file in nanoseconds."""
        return self.table.modified

    @property
    def images(self) -> int:
        """Number of rows in the row group."""
        return self.table.groups[self.number]

    def digests(self) -> list[str]:
        """Hash the image of each row, without holding all of them in memory.

        Returns:
            A digest for each row; that of a row without an image is unique.

        Raises:
            OSError: If the file cannot be read or does not hold the rows that it states.
        """
        found: list[str] = []
        for batch in read_batches(self.table, self.number):
            for value in batch:
                data = content_of(value)
                none = f"{self.name}: row {len(found)}"
                found.append(none if data is None else hashlib.sha256(data).hexdigest())
        if len(found) != self.images:
            raise OSError(0, f"has {len(found)} rows instead of {self.images}")
        return found

    def __str__(self) -> str:
        return f"{self.table.file}: row group {self.number}"


def duplicate_rows(
    root: Path, tables: Sequence[Table], parts: Mapping[str, Numbers], workers: int
) -> str:
    """Count the images of validation and test that an earlier part has too.

    Args:
        root: Folder of the data set, or its only file.
        tables: The files.
        parts: Numbers of the rows of each part, counted over all files.
        workers: Number of threads that hash.

    Returns:
        One sentence; an empty string if there are no duplicates and all images were compared.

    Raises:
        DsxError: If a row group cannot be read; names it.
    """
    groups = [Group(table=table, number=n) for table in tables for n in range(len(table.groups))]
    rows = np.array([group.images for group in groups])
    first = np.cumsum(rows) - rows
    group_of = np.repeat(np.arange(len(groups)), rows)

    def digests(numbers: Sequence[int]) -> list[str]:
        at = group_of[np.array(numbers, dtype=np.int64)]
        wanted = np.unique(at).tolist()
        column = tables[0].columns.image
        own = digests_of(root, [groups[n] for n in wanted], Group.digests, workers, of=column)
        known = dict(zip(wanted, own, strict=True))
        return [
            known[group][row - first[group]]
            for row, group in zip(numbers, at.tolist(), strict=True)
        ]

    # The sizes of the images are not known without reading all of them.
    sizes = np.zeros(len(group_of), dtype=np.int64)
    readable = _drawn(group_of, parts) if is_sampled(parts) else None
    return duplicates(parts, sizes, digests, readable)


def _drawn(group_of: Numbers, parts: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Draw row groups, always the same ones, until they hold enough images of each part.

    Args:
        group_of: (N,) row group of each of the N rows.
        parts: Numbers of the rows of each part.

    Returns:
        Numbers of the rows of each part that are in one of the drawn row groups.
    """
    count = group_of[-1] + 1
    counts = {part: np.bincount(group_of[of], minlength=count) for part, of in parts.items()}
    missing = {part: LIMIT if part == "train" else SAMPLE for part in PARTS}
    drawn = []
    for group in np.random.RandomState(0).permutation(count).tolist():
        if any(missing[part] > 0 and counts[part][group] for part in PARTS):
            drawn.append(group)
            for part in PARTS:
                missing[part] -= counts[part][group]
    return {part: of[np.isin(group_of[of], drawn)] for part, of in parts.items()}
