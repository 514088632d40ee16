"""Killing a process with SIGKILL before its n-th file operation."""

import os
import signal
import sys
from pathlib import Path

_CHANGING = "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill_at(operation: int, folder: Path) -> None:
    """Kill this process before an operation that changes files.

    Args:
        operation: Number of the operation, from 1.
        folder: Only operations on paths below this folder count, and exchanges of two folders.
    """
    left = operation
    root = os.fsencode(folder.resolve())

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if _changes(event, arguments, root):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _changes(event: str, arguments: tuple[object, ...], root: bytes) -> bool:
    if event == "ctypes.dlsym":
        return arguments[1] == "renameat2"
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & _WRITING):
            return False
    elif event in _CHANGING:
        path = arguments[0]
    else:
        return False
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    return os.path.abspath(os.fsencode(path)).startswith(root)  # noqa: PTH100 - of bytes, unresolved
