"""Atomic writing of files, which survive a power failure once they exist.

Files of users are opened without blocking: a named pipe raises an error.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from dsx.activity import Kind, activity
from dsx.errors import WorkFailed
from dsx.files.locks import try_lock, wait_for_lock

SUFFIX = ".dsx-part"
_SPECIAL = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "folder",
}
"""Names of the kinds of files that are not regular files; reading some of them may block."""
LONGEST_STEM = 100
"""Maximum number of bytes of a name that is part of temporary names."""
LOCK_SECONDS = 60.0
"""Time to wait for another process that writes a set of files."""


@contextmanager
def writing(path: Path, *, replace: bool) -> Iterator[Path]:
    """Write a file under a temporary name in the same folder, and rename it when it is complete.

    Temporary files of killed processes for the same path are removed.

    Args:
        path: Path of the file; its folder exists.
        replace: Whether an existing file may be replaced; the caller ensures that dsx wrote it.

    Yields:
        The temporary file, which exists and is empty.

    Raises:
        FileExistsError: If the file exists and must not be replaced.
        OSError: If the file cannot be written; no temporary file is left.
    """
    place = path.absolute()
    with locked_temporary(place, _create_file, _remove_file) as partial:
        yield partial
        sync(partial)
        if replace:
            partial.replace(place)
        else:
            _appear(partial, place)
        sync(place.parent)


def _create_file(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _remove_file(path: Path) -> None:
    path.unlink(missing_ok=True)


@contextmanager
def locked_temporary(
    place: Path, create: Callable[[Path], int], remove: Callable[[Path], None]
) -> Iterator[Path]:
    """Create a locked temporary file or folder, and remove it at the end of the block.

    Other processes do not remove it. An interrupt before or in the block leaves nothing behind.
    Temporary files and folders of killed processes for the same path are removed.

    Args:
        place: Final path of the file or folder.
        create: Function that creates the file or folder at a path and returns a descriptor.
        remove: Function that removes the file or folder, which may no longer exist.

    Yields:
        The temporary path.

    Raises:
        OSError: If the file or folder cannot be created.
    """
    remove_abandoned(place)
    created = False
    while not created:
        partial, held = temporary_name(place), None
        try:
            held = create(partial)
            # Another process may have removed it before it was locked.
            created = try_lock(held, fcntl.LOCK_EX) and partial.exists()
            if created:
                yield partial
        finally:
            remove(partial)
            if held is not None:
                os.close(held)


def temporary_name(place: Path) -> Path:
    """Return a new temporary path, which `remove_abandoned` recognises.

    Args:
        place: Final path of the file or folder.

    Returns:
        A path in the same folder.
    """
    return place.with_name(f"{_stem(place)}{secrets.token_hex(4)}{SUFFIX}")


def _stem(place: Path) -> str:
    """Return the prefix of temporary names: the name, or the hash of a long name.

    File systems limit names to 255 bytes, or to 143 bytes if names are encrypted.
    """
    name = os.fsencode(place.name)
    own = place.name if len(name) <= LONGEST_STEM else hashlib.sha256(name).hexdigest()
    return f".{own}."


def _appear(partial: Path, place: Path) -> None:
    """Rename a file; fail if the new name exists, even if it was created in the meantime."""
    try:
        os.link(partial, place)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        # The file system has no hard links.
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        partial.replace(place)


def write(path: Path, content: bytes | str, *, replace: bool) -> None:
    """Write a file atomically (see `writing`).

    Args:
        path: Path of the file; its folder exists.
        content: Content of the file; text is encoded as UTF-8.
        replace: Whether an existing file may be replaced.

    Raises:
        FileExistsError: If the file exists and must not be replaced.
        OSError: If the file cannot be written; no temporary file is left.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path, replace=replace) as partial:
        partial.write_bytes(data)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, without blocking on a named pipe or a device.

    Args:
        path: Path of the file or of a symbolic link to it.

    Returns:
        The open file; the caller closes it.

    Raises:
        OSError: If the file cannot be opened or is not a regular file.
    """
    # Checked before opening, because opening some devices has side effects, and afterwards,
    # because the file may have been replaced. With O_NONBLOCK, opening a FIFO does not block.
    _refuse_special(path, path.stat())
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_special(path, os.fstat(opened))
    except OSError:
        os.close(opened)
        raise
    return os.fdopen(opened, "rb")


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if kind := special_kind(status):
        raise OSError(errno.EINVAL, f"a {kind}, not a regular file", str(path))


def special_kind(status: os.stat_result) -> str:
    """Return the kind of a file that is not a regular file.

    Args:
        status: Status of the file.

    Returns:
        The kind, such as "FIFO"; an empty string for a regular file.
    """
    if stat.S_ISREG(status.st_mode):
        return ""
    return _SPECIAL.get(stat.S_IFMT(status.st_mode), "special file")


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk.

    Args:
        path: The file or folder.

    Raises:
        OSError: If the disk reports an error.
    """
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, so that they survive a power cut.

    Args:
        folder: Path of the folder, which may exist.

    Raises:
        OSError: If the folder cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def check_writable(folder: Path) -> None:
    """Check that files can be created in a folder.

    Args:
        folder: Path of the folder.

    Raises:
        OSError: If the folder is missing or not writable.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def locked_folder(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the exclusive right to write a set of files into a folder.

    Args:
        folder: Path of the folder.
        seconds: Time to wait for another process.

    Raises:
        OSError: If the folder cannot be read.
        WorkFailed: If another process still writes to the folder after this time.
    """
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not try_lock(held, fcntl.LOCK_EX):
            with activity(Kind.WAITING_FOR_FOLDER, detail=str(folder)):
                ended = wait_for_lock(held, seconds)
            if not ended:
                raise WorkFailed(
                    f"another process is writing to '{folder}' (waited for {seconds:g} s)"
                )
        yield
    finally:
        os.close(held)


def remove_abandoned(place: Path) -> None:
    """Remove the temporary files and folders of killed processes.

    Args:
        place: Final path of the file or folder.
    """
    pattern = re.compile(rf"{re.escape(_stem(place))}[0-9a-f]{{8}}{re.escape(SUFFIX)}")
    # Entries that were removed or belong to other users do not prevent writing.
    with suppress(OSError):
        for entry in place.parent.iterdir():
            if pattern.fullmatch(entry.name) and not entry.is_symlink():
                with suppress(OSError):
                    _remove_if_abandoned(entry)


def _remove_if_abandoned(entry: Path) -> None:
    if not (entry.is_file() or entry.is_dir()):
        return
    held = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if try_lock(held, fcntl.LOCK_EX):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    finally:
        os.close(held)
