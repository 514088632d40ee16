"""Duplicates among the images of Parquet files, which are hashed row group by row group."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsx.data._digests import cached_digests
from dsx.data._duplicates import LIMIT, SAMPLE, find_duplicates, is_sampled
from dsx.data._parquet_files import Table, content_of, read_batches
from dsx.data._splits import PARTS, Numbers


@dataclass(frozen=True, kw_only=True)
class Group:
    """Row group of a Parquet file, which is hashed as a whole.

    Args:
        table: Parquet file.
        number: Number of the row group in the file.
    """

    table: Table
    number: int

    @property
    def name(self) -> str:
        """Path of the file in the dataset, and the number of the row group."""
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
        """Hash the image of each row, without holding all images in memory.

        Returns:
            A digest for each row; rows without an image have unique digests.

        Raises:
            OSError: If the file cannot be read, or has another number of rows than its metadata
                state.
        """
        found: list[str] = []
        for batch in read_batches(self.table, self.number):
            for value in batch:
                data = content_of(value)
                unique = f"{self.name}: row {len(found)}"
                found.append(unique if data is None else hashlib.sha256(data).hexdigest())
        if len(found) != self.images:
            raise OSError(0, f"has {len(found)} rows instead of {self.images}")
        return found

    def __str__(self) -> str:
        return f"{self.table.file}: row group {self.number}"


def find_duplicate_rows(
    root: Path, tables: Sequence[Table], parts: Mapping[str, Numbers], workers: int
) -> str:
    """Count the validation and test images that also occur in an earlier split.

    Args:
        root: Folder of the dataset, or its only file.
        tables: Parquet files.
        parts: Numbers of the rows of each split, counted over all files.
        workers: Number of threads that compute hashes.

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
        group_numbers = group_of[np.array(numbers, dtype=np.int64)]
        distinct = np.unique(group_numbers).tolist()
        column = tables[0].columns.image
        selected = [groups[number] for number in distinct]
        found = cached_digests(root, selected, Group.digests, workers, of=column)
        by_group = dict(zip(distinct, found, strict=True))
        return [
            by_group[group][row - first[group]]
            for row, group in zip(numbers, group_numbers.tolist(), strict=True)
        ]

    # The sizes of the images cannot be determined without reading all of them.
    sizes = np.zeros(len(group_of), dtype=np.int64)
    readable = _sample_groups(group_of, parts) if is_sampled(parts) else None
    return find_duplicates(parts, sizes, digests, readable)


def _sample_groups(group_of: Numbers, parts: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Sample row groups with a fixed seed until they contain enough images of each split.

    Args:
        group_of: Row group of each of the N rows, (N,).
        parts: Numbers of the rows of each split.

    Returns:
        Numbers of the rows of each split in the sampled row groups.
    """
    count = group_of[-1] + 1
    counts = {part: np.bincount(group_of[rows], minlength=count) for part, rows in parts.items()}
    missing = {part: LIMIT if part == "train" else SAMPLE for part in PARTS}
    sampled = []
    for group in np.random.RandomState(0).permutation(count).tolist():
        if any(missing[part] > 0 and counts[part][group] for part in PARTS):
            sampled.append(group)
            for part in PARTS:
                missing[part] -= counts[part][group]
    return {part: rows[np.isin(group_of[rows], sampled)] for part, rows in parts.items()}
