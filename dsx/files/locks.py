"""File locks of the operating system, shared by the processes of all users of a machine.

A lock belongs to an open file, so that it is released when a process ends for any reason.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """Open a lock file, and create it if it does not exist.

    Args:
        path: Path of the file; its folder exists.

    Returns:
        Descriptor for `fcntl.flock`; closing it releases the lock.

    Raises:
        OSError: If the file cannot be opened.
    """
    # Read access is sufficient for a lock. The first attempt is made without O_CREAT, with which
    # Linux does not open files of other users in a folder like /tmp.
    flags = os.O_RDONLY | os.O_CLOEXEC
    with suppress(FileNotFoundError):
        return os.open(path, flags)
    with suppress(FileExistsError):
        created = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        # Regardless of the umask, since other users must be able to open this file.
        os.fchmod(created, 0o644)
        return created
    return os.open(path, flags)


def try_lock(file: int, kind: int) -> bool:
    """Lock an open file without waiting.

    Args:
        file: Descriptor of the file.
        kind: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

    Returns:
        Whether the file is locked by this process.

    Raises:
        OSError: If the file system does not support locks.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: int, seconds: float) -> bool:
    """Lock an open file exclusively.

    Args:
        file: Descriptor of the file.
        seconds: Time to wait for another process that holds the lock.

    Returns:
        Whether the file is locked by this process.

    Raises:
        OSError: If the file system does not support locks.
    """
    end = time.monotonic() + seconds
    while not try_lock(file, fcntl.LOCK_EX):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file exclusively.

    Args:
        path: Path of the file, which is created if it does not exist; its folder exists.
        seconds: Time to wait for another process that holds the lock.

    Raises:
        OSError: If the file cannot be opened or locked; a TimeoutError if another process still
            holds the lock.
    """
    file = open_lock(path)
    try:
        if not wait_for_lock(file, seconds):
            raise TimeoutError(f"another process has held {path} for {seconds:g} s")
        yield
    finally:
        os.close(file)
