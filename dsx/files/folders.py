"""Atomic writing of folders, which survive a power failure once they exist."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dsx.files.files import locked_temporary, make_folder, sync, temporary_name

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def temporary(place: Path, mode: int = 0o777) -> Iterator[Path]:
    """Create a temporary folder in the same parent folder, and remove it at the end of the block.

    The folder of a killed process is removed by the next call for the same path.

    Args:
        place: Final path of the folder; its parent exists.
        mode: Permissions before the umask is applied.

    Yields:
        The empty folder.

    Raises:
        OSError: If the folder cannot be created.
    """

    def create(path: Path) -> int:
        path.mkdir(mode)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def remove(path: Path) -> None:
        # Files that cannot be removed now are removed by the next call.
        shutil.rmtree(path, ignore_errors=True)

    with locked_temporary(place, create, remove) as folder:
        yield folder


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a folder in the temporary folder of the system, and remove it at the end of the block.

    Only its owner can read it. The folders of killed processes are removed by the next call.

    Yields:
        The empty folder.

    Raises:
        OSError: If the folder cannot be created.
    """
    with temporary(Path(tempfile.gettempdir(), f"dsx-{os.getuid()}"), 0o700) as folder:
        yield folder


def put(source: Path, place: Path, check: Callable[[Path], None]) -> None:
    """Copy a folder of files atomically.

    Args:
        source: Folder that contains only files and folders of files.
        place: Path of the copy; an existing folder is replaced.
        check: Function that raises an error if a folder must not be replaced.

    Raises:
        OSError: If the copy cannot be written; an existing folder is unchanged then.
    """
    make_folder(place.parent)
    with temporary(place) as partial:
        for path in sorted(source.rglob("*")):
            copy = partial / path.relative_to(source)
            if path.is_dir():
                copy.mkdir()
            else:
                shutil.copyfile(path, copy)
        for copy in (*partial.rglob("*"), partial):
            sync(copy)
        try:
            # Succeeds only if there is no folder, or an empty one.
            partial.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            _replace(partial, place, check)
        sync(place.parent)


def _replace(partial: Path, place: Path, check: Callable[[Path], None]) -> None:
    check(place)
    _exchange(partial, place)
    try:
        # A file may have been added to the old folder since the first check.
        check(partial)
    except BaseException:
        _exchange(partial, place)
        raise


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders, in one step if the system and the file system support it."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        _exchange_by_renaming(one, other)
        return
    names = os.fsencode(one), os.fsencode(other)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(other))
    _exchange_by_renaming(one, other)


def _exchange_by_renaming(one: Path, other: Path) -> None:
    """Exchange two folders in three steps, during which the second path is briefly missing."""
    aside = temporary_name(other)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
