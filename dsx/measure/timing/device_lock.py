"""Lock: nobody disturbs a timing. One at a time per device, and all that trains pauses meanwhile.

Locks of the operating system for each device, held by open files, so that whoever is killed holds
them no longer. Who times takes the *gate* first and then the *device*, both for itself. Who trains
shares the device with others that train; between two batches it looks at the gate, and if that is
taken it lets the device go until the gate is free again. The *queue* is for those that time:
whoever waits for the gate keeps it, so that one who times again and again comes after him.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dsx.activity import Kind, activity
from dsx.errors import WorkFailed
from dsx.files import open_lock, try_lock

FOLDER = Path("/tmp")
"""Not tempfile.gettempdir(): processes whose TMPDIR differ have to meet. Tests use another one."""


class _Mine(threading.local):
    """The devices that this thread keeps, or shares."""

    def __init__(self) -> None:
        self.kept = set[str]()
        self.shared = set[str]()


_mine = _Mine()
_opened = set[int]()


def lock_name(device: str) -> str:
    """Name the lock of a device: a GPU has one of its own, wherever it is seen from.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cpu":
        return "cpu"
    return f"cuda-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


@contextmanager
def exclusive(device: str, on_lock_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep a device for a timing, against all other processes and threads of this machine.

    Inside itself it does nothing, so that a timing may be made of several.

    Args:
        device: As `lock_name` calls it.
        on_lock_wait: Called once if it is not free at once.

    Raises:
        WorkFailed: If there can be no lock.
    """
    assert device not in _mine.shared, "a timing inside of work that shares waits for itself"
    if device in _mine.kept:
        yield
        return
    with (
        _file(device, "queue") as queue,
        _file(device, "gate") as gate,
        _file(device, "device") as held,
    ):
        locks = (queue, gate, held)
        if not all(try_lock(lock, fcntl.LOCK_EX) for lock in locks):
            if on_lock_wait is not None:
                on_lock_wait()
            with activity(Kind.WAITING_FOR_DEVICE):
                for lock in locks:
                    fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(queue, fcntl.LOCK_UN)
        _mine.kept.add(device)
        try:
            yield
        finally:
            _mine.kept.discard(device)


@contextmanager
def shared(device: str) -> Iterator[Callable[[], None]]:
    """Share a device with others that work, but with nobody who times.

    Args:
        device: As `lock_name` calls it.

    Yields:
        To be called often, between two pieces of work: waits while somebody times.

    Raises:
        WorkFailed: If there can be no lock.
    """
    assert device not in _mine.kept | _mine.shared, "work inside of itself waits for itself"
    with _file(device, "gate") as gate, _file(device, "device") as held:

        def yield_device() -> None:
            if try_lock(gate, fcntl.LOCK_SH):
                fcntl.flock(gate, fcntl.LOCK_UN)
                return
            if device.startswith("cuda"):
                # What is under way there still would be timed along.
                torch.cuda.synchronize()
            fcntl.flock(held, fcntl.LOCK_UN)
            enter()

        def enter() -> None:
            fcntl.flock(gate, fcntl.LOCK_SH)
            fcntl.flock(held, fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)

        enter()
        _mine.shared.add(device)
        try:
            yield yield_device
        finally:
            _mine.shared.discard(device)


@contextmanager
def _file(device: str, name: str) -> Iterator[int]:
    """Open a lock; closing it frees it."""
    opened = _open(FOLDER / f"dsx-{device}.{name}")
    _opened.add(opened)
    try:
        yield opened
    finally:
        # In a forked process it is closed already.
        if opened in _opened:
            _opened.remove(opened)
            os.close(opened)


def _open(path: Path) -> int:
    try:
        return open_lock(path)
    except OSError as error:
        raise WorkFailed(f"{path} keeps timings apart, but: {error}") from error


def _leave() -> None:
    """Keep nothing in a process that was forked off: its parent does."""
    for file in _opened:
        os.close(file)
    _opened.clear()
    _mine.kept.clear()
    _mine.shared.clear()


os.register_at_fork(after_in_child=_leave)
