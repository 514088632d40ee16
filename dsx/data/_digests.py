"""Digests of files, cached in the cache directory by path, size and modification time."""

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
from dsx.activity import Kind, activity
from dsx.data.folders.walk import unreadable_error

_Content = dict[str, tuple[int, int, list[str]]]
_CONTENT = TypeAdapter(_Content)
"""Size, modification time and digests of each file, by its name in the dataset."""


class File(Protocol):
    """File of a dataset, or a part of one that is hashed separately; its text is its location."""

    @property
    def name(self) -> str:
        """Path of the file in the dataset; the name of a part of a file begins with that path."""

    @property
    def size(self) -> int:
        """Size of the file in bytes."""

    @property
    def modified(self) -> int:
        """Modification time of the file in nanoseconds."""

    @property
    def images(self) -> int:
        """Number of images in the file, each of which has a digest."""


F = TypeVar("F", bound=File)

CHUNK = 1024
"""Largest number of files that are queued for the threads."""


def cached_digests(
    root: Path,
    given: Sequence[F],
    compute: Callable[[F], list[str]],
    workers: int,
    of: str = "",
    chunk: int = CHUNK,
) -> list[list[str]]:
    """Return the digests of files, computing only those of new and changed files.

    Args:
        root: Folder of the dataset.
        given: Files of the dataset.
        compute: Function that returns the digests of one file.
        workers: Number of threads that compute digests.
        of: Name of the digested part, if one file may have several kinds of digests.
        chunk: Number of files that are submitted to the threads at a time.

    Returns:
        The digests of each file.

    Raises:
        DsxError: If a file cannot be read.
    """
    cache = cache_file(root, of)
    cached = _read(cache)
    new = [file for file in given if not _is_cached(cached, file)]
    if new:
        try:
            _compute(new, compute, workers, cached, chunk)
        finally:
            # Also after an error or an interruption, so that completed work is not lost.
            _write(cache, cached)
    return [cached[_key(file)][2] for file in given]


def _compute(
    new: Sequence[F],
    compute: Callable[[F], list[str]],
    workers: int,
    cached: _Content,
    chunk: int,
) -> None:
    """Compute the digests of files, and add those of each completed file to the cache."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dsx-digest")
    try:
        with activity(Kind.COMPARING_IMAGES, sum(file.images for file in new), "image") as step:
            # In chunks, since a future takes more memory than the digest of an image.
            for first in range(0, len(new), chunk):
                batch = new[first : first + chunk]
                computed = pool.map(_guarded(compute), batch)
                for file, digests in zip(batch, computed, strict=True):
                    cached[_key(file)] = (file.size, file.modified, digests)
                    step.advance(step.done + file.images)
    finally:
        pool.shutdown(cancel_futures=True)


def cache_file(root: Path, of: str = "") -> Path:
    """Return the path of the cache file with the digests of a dataset.

    Args:
        root: Folder of the dataset.
        of: Name of the digested part of each file.

    Returns:
        The path, in the cache directory of the user.
    """
    place = os.fsencode(os.path.realpath(root)) + b"\0" + of.encode()
    name = hashlib.sha256(place).hexdigest()[:16]
    return user_cache_path("dsx") / "digests" / f"{name}.json"


def _key(file: File) -> str:
    """Return the name of a file, which may not be UTF-8, as text for JSON."""
    return quote(os.fsencode(file.name))


def _is_cached(cached: _Content, file: File) -> bool:
    size, modified, digests = cached.get(_key(file), (None, None, []))
    # The number of digests can be wrong only if the cache is damaged.
    return (size, modified, len(digests)) == (file.size, file.modified, file.images)


def _guarded(compute: Callable[[F], list[str]]) -> Callable[[F], list[str]]:
    def guarded(file: F) -> list[str]:
        try:
            return compute(file)
        except OSError as error:
            raise unreadable_error(str(file), error) from error

    return guarded


def _read(cache: Path) -> _Content:
    try:
        return _CONTENT.validate_json(cache.read_bytes())
    # A missing or damaged cache only causes the digests to be computed again.
    except (OSError, ValidationError):
        return {}


def _write(cache: Path, cached: _Content) -> None:
    # If the cache cannot be written, the next run computes the digests again.
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        # No other program writes into this folder.
        files.write(cache, _CONTENT.dump_json(cached), replace=True)
