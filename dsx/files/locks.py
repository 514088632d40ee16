"""Locks of the operating system on files, which processes of different users of a machine share.

An open file holds a lock, so that a process that ends in any way holds it no longer.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """Open a lock file, and create it if it does not exist.

    Args:
        path: The file; its folder exists.

    Returns:
        The open file, to be locked with `fcntl.flock`; closing it releases the lock.

    Raises:
        OSError: If the file cannot be opened.
    """
    # A lock needs no more than reading. Without O_CREAT first: in a folder like /tmp, Linux keeps
    # users from opening the files of others with it.
    flags = os.O_RDONLY | os.O_CLOEXEC
    with suppress(FileNotFoundError):
        return os.open(path, flags)
    with suppress(FileExistsError):
        created = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        # Regardless of the umask: other users have to share this file.
        os.fchmod(created, 0o644)
        return created
    return os.open(path, flags)


def try_lock(file: int, kind: int) -> bool:
    """Lock an open file unless that would wait.

    Args:
        file: The open file.
        kind: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

    Returns:
        Whether it is locked now.

    Raises:
        OSError: If the file system has no locks.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: int, seconds: float) -> bool:
    """Lock an open file exclusively.

    Args:
        file: The open file.
        seconds: How long to wait for another process that holds it.

    Returns:
        Whether it is locked now.

    Raises:
        OSError: If the file system has no locks.
    """
    end = time.monotonic() + seconds
    while not try_lock(file, fcntl.LOCK_EX):
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file exclusively.

    Args:
        path: The file, created if it does not exist; its folder exists.
        seconds: How long to wait for another process that holds it.

    Raises:
        OSError: If the file cannot be opened or locked; a TimeoutError if another process still
            holds it.
    """
    file = open_lock(path)
    try:
        if not wait_for_lock(file, seconds):
            raise TimeoutError(f"another process has held {path} for {seconds:g} s")
        yield
    finally:
        os.close(file)
