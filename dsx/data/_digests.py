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
from dsx.activity import Kind, activity
from dsx.data.folders.walk import unreadable

_Content = dict[str, tuple[int, int, list[str]]]
_CONTENT = TypeAdapter(_Content)
"""Name of a file in its data set to its size, modification time and digests."""


class File(Protocol):
    """A file of a data set, or a part of one that is hashed by itself; as text, its location."""

    @property
    def name(self) -> str:
        """Path of the file in the data set; of a part of it, a name that begins with the path."""

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
"""Largest number of files that wait for a thread."""


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
    if new:
        try:
            _compute(new, compute, workers, known)
        finally:
            # Also after an error or an interruption, so that the work done so far is not lost.
            _write(cache, known)
    return [known[_key(file)][2] for file in given]


def _compute(
    new: Sequence[F], compute: Callable[[F], list[str]], workers: int, known: _Content
) -> None:
    """Compute the digests of files, and add each to those that are known when it is complete."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dsx-digest")
    try:
        with activity(Kind.COMPARING_IMAGES, sum(file.images for file in new), "image") as step:
            # In chunks, because a future takes more memory than the digest of an image.
            for first in range(0, len(new), CHUNK):
                chunk = new[first : first + CHUNK]
                computed = pool.map(_guarded(compute), chunk)
                for file, digests in zip(chunk, computed, strict=True):
                    known[_key(file)] = (file.size, file.modified, digests)
                    step.advance(step.done + file.images)
    finally:
        pool.shutdown(cancel_futures=True)


def cache_file(root: Path, of: str = "") -> Path:
    """Return the file in the user's cache that holds the digests of a data set.

    Args:
        root: Folder of the data set.
        of: Name of the digested part of each file.
    """
    place = os.fsencode(os.path.realpath(root)) + b"\0" + of.encode()
    name = hashlib.sha256(place).hexdigest()[:16]
    return user_cache_path("dsx") / "digests" / f"{name}.json"


def _key(file: File) -> str:
    """Name a file in JSON, which has no bytes for names that are not UTF-8."""
    return quote(os.fsencode(file.name))


def _is_known(known: _Content, file: File) -> bool:
    size, modified, digests = known.get(_key(file), (None, None, []))
    # The number of digests can be wrong only if the cache is damaged.
    return (size, modified, len(digests)) == (file.size, file.modified, file.images)


def _guarded(compute: Callable[[F], list[str]]) -> Callable[[F], list[str]]:
    def guarded(file: F) -> list[str]:
        try:
            return compute(file)
        except OSError as error:
            raise unreadable(str(file), error) from error

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
