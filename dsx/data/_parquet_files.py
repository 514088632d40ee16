"""Parquet files of a dataset, and the images and labels in their rows."""

import functools
import io
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from dsx.data._splits import PART_NAMES, Numbers, find_parts
from dsx.data.folders.walk import File, Walk, unreadable_error
from dsx.errors import DataMissing, DsxError

GROUP_MIB = 32
"""Largest size of a row group from which single images are read."""

BATCH = 16
"""Number of images that are read at once for hashing."""

BUFFER = 2**20
"""Number of bytes of a file that are read at once."""

GROUPS = 4
"""Number of cached row groups: enough for a few threads that read consecutive rows."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns.

    Args:
        image: Column of the images.
        label: Column of the labels.

    Raises:
        DsxError: If a name is not a string.
    """

    image: str
    label: str

    def __post_init__(self) -> None:
        for key, name in (("image_column", self.image), ("label_column", self.label)):
            if not isinstance(name, str):
                raise DsxError(f"{key}: {name!r} (allowed: the name of a column)")


class RowPlace(NamedTuple):
    """Location of an image in a row of a Parquet file.

    Args:
        file: Path of the file.
        name: Path of the file in the dataset.
        size: Size of the file in bytes.
        column: Column of the images.
        group: Number of the row group.
        offset: Number of the row in its group.
        row: Number of the row in the file.
    """

    file: str
    name: str
    size: int
    column: str
    group: int
    offset: int
    row: int

    @property
    def identity(self) -> str:
        """Name and size of the file, and the row."""
        return f"{self.name}:{self.size}:{self.row}"

    def open(self) -> BinaryIO:
        """Open the encoded image.

        Returns:
            A stream of its bytes.

        Raises:
            DsxError: If the row has no image.
        """
        data = content_of(read_group(self.file, self.column, self.group)[self.offset])
        if data is None:
            raise DsxError(f"{self}: has no image")
        return io.BytesIO(data)

    def __str__(self) -> str:
        return f"{self.file}: row {self.row}"


@functools.lru_cache(maxsize=GROUPS)
def read_group(file: str, column: str, group: int) -> Any:
    """Read the images of a row group, which are cached.

    Args:
        file: Path of the Parquet file.
        column: Column of the images.
        group: Number of the row group.

    Returns:
        A chunked array of pyarrow.

    Raises:
        OSError: If the row group cannot be read.
    """
    with _opened(file) as opened:
        return opened.read_row_group(group, columns=[column], use_threads=False)[column]


def read_batches(table: "Table", group: int) -> Iterator[Any]:
    """Read the images of a row group of any size in small batches.

    Args:
        table: Parquet file.
        group: Number of the row group.

    Yields:
        Arrays of pyarrow with consecutive rows.

    Raises:
        OSError: If the row group cannot be read.
    """
    # By default, pyarrow reads the metadata again, which is slow with many row groups, and reads
    # the whole row group at once.
    options = {"metadata": table.metadata, "buffer_size": BUFFER, "pre_buffer": False}
    with _opened(table.file, **options) as opened:
        for batch in opened.iter_batches(
            BATCH, row_groups=[group], columns=[table.columns.image], use_threads=False
        ):
            yield batch.column(0)


@contextmanager
def _opened(file: str | Path, **options: Any) -> Iterator[Any]:
    try:
        with _arrow().ParquetFile(file, **options) as opened:
            yield opened
    except ValueError as error:  # raised by pyarrow for damaged files
        raise OSError(" ".join(str(error).split())) from error


def content_of(value: Any) -> bytes | None:
    """Return the bytes of an image.

    Args:
        value: Scalar of pyarrow from a column of images.

    Returns:
        The bytes; None if the row has no image.
    """
    value = value.as_py()
    data: bytes | None = value.get("bytes") if isinstance(value, dict) else value
    return data


@dataclass(frozen=True, kw_only=True)
class Table:
    """One Parquet file.

    Args:
        file: Path of the file.
        name: Path of the file in the dataset, with slashes.
        size: Size of the file in bytes.
        modified: Modification time of the file in nanoseconds.
        part: Split to which the file belongs.
        columns: Names of the columns.
        class_names: Names of the classes in the metadata of the file; may be empty.
        groups: Number of rows of each row group.
        group_bytes: Uncompressed size of each row group.
        metadata: Metadata of the file, as returned by pyarrow.
    """

    file: Path
    name: str
    size: int
    modified: int
    part: str
    columns: Columns
    class_names: list[str]
    groups: list[int]
    group_bytes: list[int]
    metadata: Any

    def places(self) -> Iterator[RowPlace]:
        """Iterate over the locations of the images, row by row.

        Yields:
            The locations.
        """
        file, row = str(self.file), 0
        for group, rows in enumerate(self.groups):
            for offset in range(rows):
                yield RowPlace(file, self.name, self.size, self.columns.image, group, offset, row)
                row += 1

    def check_groups(self) -> None:
        """Check that the row groups are small enough to read single images.

        Raises:
            DsxError: If a row group is too large.
        """
        largest = max(self.group_bytes, default=0) / 2**20
        if largest > GROUP_MIB:
            raise DsxError(
                f"{self.file}: has a row group of {largest:,.0f} MiB, which is too large to read "
                f"single images (allowed: {GROUP_MIB} MiB; write the file with 100 rows per group, "
                "or increase `memory` so that all images fit)"
            )

    def largest_label(self) -> int:
        """Return the largest label, or -1 if the file has no rows."""
        return int(self._raw_labels().max(initial=-1))

    def labels(self, classes: int) -> Numbers:
        """Read the labels.

        Args:
            classes: Number of classes.

        Returns:
            Label of each row.

        Raises:
            DsxError: If a label is missing or out of range; names the row.
        """
        labels = self._raw_labels()
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(wrong):
            where = f"{self.file}: row {wrong[0]}"
            hint = "" if labels[wrong[0]] >= 0 else "; remove files whose labels are not published"
            raise DsxError(f"{where}: label {labels[wrong[0]]} (allowed: 0 to {classes - 1}{hint})")
        return labels

    def _raw_labels(self) -> Numbers:
        name = self.columns.label
        try:
            column = _arrow().read_table(self.file, columns=[name], use_threads=False)[name]
        except (OSError, ValueError) as error:
            raise _unreadable(self.file, error) from error
        missing = np.flatnonzero(column.is_null().to_numpy())
        if len(missing):
            raise DsxError(f"{self.file}: row {missing[0]}: has no label")
        labels: Numbers = column.to_numpy().astype(np.int64)
        return labels


def open_tables(root: Path, columns: Columns) -> tuple[list[Table], str]:
    """Find the files of a dataset and open them.

    Args:
        root: Path of a file, or of a folder with files at any depth.
        columns: Names of the columns.

    Returns:
        The files in alphabetical order, and a description of skipped entries, which may be empty.

    Raises:
        DsxError: If there are no files, or a file cannot be read, has no such column, or cannot be
            assigned to a split.
    """
    walk = Walk(root)
    single = _single(root)
    files = [single] if single else _listed(walk)
    outer = root.parent if single else root
    parts = {file.name: None if single else _part(outer, file.name) for file in files}
    divided = any(parts.values())
    for name, part in parts.items():
        if divided and not part:
            raise DsxError(
                f"{outer / name}: cannot be assigned to a split (allowed in its path: {PART_NAMES})"
            )
    if divided and "train" not in parts.values():
        raise DsxError(f"{root}: has no file for training (allowed: 'train' in its path)")
    tables = [_open(outer, file, parts[file.name] or "train", columns) for file in files]
    return tables, str(walk)


def _single(root: Path) -> File | None:
    """Return the only file of a dataset; None if the path is a folder or does not exist."""
    try:
        status = root.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable_error(root, error) from error
    if not stat.S_ISREG(status.st_mode):
        return None
    return File(root.name, status.st_size, status.st_mtime_ns)


def _listed(walk: Walk) -> list[File]:
    """List the Parquet files of a folder in alphabetical order of their paths."""
    (files,) = walk.files([""], {".parquet"}) if walk.root.exists() else ([],)
    if not files:
        raise DataMissing(
            f"{walk.root}: there are no .parquet files (put the files of the dataset there)"
            + (f"; {walk}" if walk.skipped else "")
        )
    return sorted(files, key=lambda file: file.name.split("/"))


def _part(outer: Path, name: str) -> str | None:
    """Return the split that the path of a file names; None if it names none."""
    found = find_parts(name.removesuffix(".parquet"))
    if len(found) > 1:
        both = " and ".join(sorted(found))
        raise DsxError(f"{outer / name}: names several splits, {both} (allowed: one in its path)")
    return next(iter(found), None)


def _open(outer: Path, found: File, part: str, columns: Columns) -> Table:
    file = outer / found.name
    try:
        with _arrow().ParquetFile(file) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    _check_columns(file, schema, columns)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return Table(
        file=file,
        name=found.name,
        size=found.size,
        modified=found.modified,
        part=part,
        columns=columns,
        class_names=_class_names(schema, columns.label),
        groups=[group.num_rows for group in groups],
        group_bytes=[group.total_byte_size for group in groups],
        metadata=metadata,
    )


def _check_columns(file: Path, schema: Any, columns: Columns) -> None:
    from pyarrow import types

    for key, column in (("image_column", columns.image), ("label_column", columns.label)):
        if column not in schema.names:
            allowed = ", ".join(schema.names)
            raise DsxError(f"{file}: {key}: no column '{column}' (allowed: {allowed})")
    image = schema.field(columns.image).type
    if types.is_struct(image) and image.get_field_index("bytes") >= 0:
        image = image.field("bytes").type
    if not (types.is_binary(image) or types.is_large_binary(image)):
        allowed = "binary, or a struct with the field `bytes`"
        raise DsxError(f"{file}: column '{columns.image}' is {image} (allowed: {allowed})")
    label = schema.field(columns.label).type
    if not types.is_integer(label):
        raise DsxError(f"{file}: column '{columns.label}' is {label} (allowed: integers)")


def _class_names(schema: Any, column: str) -> list[str]:
    """Return the class names in the metadata that the library of Hugging Face writes, if any."""
    try:
        metadata = json.loads((schema.metadata or {})[b"huggingface"])
        return [str(name) for name in metadata["info"]["features"][column]["names"]]
    except (KeyError, TypeError, ValueError):  # no metadata, or not about classes
        return []


def _unreadable(file: Path, error: Exception) -> DsxError:
    return DsxError(f"{file}: is not a Parquet file, or damaged: {' '.join(str(error).split())}")


def _arrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataMissing("Parquet files require pyarrow (pip install 'dsx[parquet]')") from error
    return pyarrow.parquet
