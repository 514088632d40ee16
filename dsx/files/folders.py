"""Write folders that appear whole or not at all, and survive a power cut once they are there."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dsx.files.files import create_locked, make_folder, remove_abandoned, sync, temporary_name

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def temporary(place: Path, mode: int = 0o777) -> Iterator[Path]:
    """Create a folder under a temporary name next to a place, and remove it at the end.

    The folder of a killed process is removed by the next call for the same place.

    Args:
        place: The folder that it is to become; its parent exists.
        mode: Permissions, before the user's mask is applied.

    Yields:
        The folder, which is empty.

    Raises:
        OSError: If it cannot be created.
    """

    def create(path: Path) -> int:
        path.mkdir(mode)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    remove_abandoned(place)
    folder, held = create_locked(place, create)
    try:
        yield folder
    finally:
        # What cannot be removed now is removed by the next call.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a folder in the system's temporary folder, and remove it at the end.

    Only its owner can read it. The folders of killed processes are removed by the next call.

    Yields:
        The folder, which is empty.

    Raises:
        OSError: If it cannot be created.
    """
    with temporary(Path(tempfile.gettempdir(), f"dsx-{os.getuid()}"), 0o700) as folder:
        yield folder


def put(source: Path, place: Path, check: Callable[[Path], None]) -> None:
    """Copy a folder of files to its place, where it appears whole or not at all.

    Args:
        source: A folder that holds files only.
        place: A folder that is missing, empty, or to be replaced.
        check: Function that raises an error if a folder must not be replaced.

    Raises:
        OSError: If the folder cannot be written; the place is unchanged then.
    """
    make_folder(place.parent)
    with temporary(place) as partial:
        for file in source.iterdir():
            shutil.copyfile(file, partial / file.name)
            sync(partial / file.name)
        sync(partial)
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
    """Exchange two folders in one step, where the system and the file system can do that."""
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
    """Exchange two folders in three steps; for a moment there is none at the second place."""
    aside = temporary_name(other)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
