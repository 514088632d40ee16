"""Digests of files, kept in the user's cache by path, size and modification time."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from platformdirs import user_cache_path
from pydantic import TypeAdapter, ValidationError

from dsx import files
from dsx.errors import DsxError

_Content = dict[str, tuple[int, int, list[str]]]
_CONTENT = TypeAdapter(_Content)
"""Name of a file in its data set to its size, modification time and digests."""


class File(Protocol):
    """A file of a data set; `modified` is its modification time in nanoseconds."""

    @property
    def name(self) -> str:
        """Path of the file in the data set."""

    @property
    def size(self) -> int:
        """Size of the file in bytes."""

    @property
    def modified(self) -> int:
        """Modification time of the file in nanoseconds."""


F = TypeVar("F", bound=File)


def digests_of(
    root: Path, given: Sequence[F], compute: Callable[[F], list[str]], workers: int, of: str = ""
) -> list[list[str]]:
    """Look up the digests of files, and compute those of files that are new or have changed.

    Args:
        root: Folder of the data set.
        given: Files of the data set.
        compute: Returns the digests of one file.
        workers: Number of threads that compute.
        of: Name of the digested part, where one file may have several kinds of digests.

    Returns:
        The digests of each file.

    Raises:
        DsxError: If a file cannot be read.
    """
    cache = cache_file(root, of)
    known = _read(cache)
    new = [file for file in given if not _is_known(known, file)]
    with ThreadPoolExecutor(workers, thread_name_prefix="dsx-digest") as pool:
        computed = pool.map(_guarded(compute), new)
        known |= {
            _key(file): (file.size, file.modified, digests)
            for file, digests in zip(new, computed, strict=True)
        }
    if new:
        _write(cache, known)
    return [known[_key(file)][2] for file in given]


def cache_file(root: Path, of: str = "") -> Path:
    """Return the file in the user's cache that holds the digests of a data set.

    Args:
        root: Folder of the data set.
        of: Name of the digested part of each file.
    """
    place = hashlib.sha256(os.fsencode(root.resolve()) + b"\0" + of.encode()).hexdigest()[:16]
    return user_cache_path("dsx") / "digests" / f"{place}.json"


def _key(file: File) -> str:
    """Name a file in JSON, which has no bytes for names that are not UTF-8."""
    return quote(os.fsencode(file.name))


def _is_known(known: _Content, file: File) -> bool:
    size, modified, _ = known.get(_key(file), (None, None, []))
    return (size, modified) == (file.size, file.modified)


def _guarded(compute: Callable[[F], list[str]]) -> Callable[[F], list[str]]:
    def guarded(file: F) -> list[str]:
        try:
            return compute(file)
        except OSError as error:
            raise DsxError(f"{file}: cannot be read: {error.strerror or error}") from error

    return guarded


def _read(cache: Path) -> _Content:
    try:
        return _CONTENT.validate_json(cache.read_bytes())
    # A cache that is missing or damaged costs time only.
    except (OSError, ValidationError):
        return {}


def _write(cache: Path, known: _Content) -> None:
    # Without a cache, the next run computes the digests again.
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        # Only dsx writes into this folder.
        files.write(cache, _CONTENT.dump_json(known), replace=True)
