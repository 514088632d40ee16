"""Device lock: exclusive for timing, shared for training.

The lock consists of file locks of the operating system, so that a killed process releases it. A
process that times acquires exclusive locks on the *gate* and then on the *device*. A process that
trains holds a shared lock on the device. Between two batches it checks the gate; while the gate is
locked it releases the device. The *queue* orders processes that time: a process holds it while it
waits for the gate, so that a process that times repeatedly does not overtake it.
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
"""Folder of the lock files: not that of TMPDIR, which can differ between processes."""


class _Held(threading.local):
    """The devices that this thread has locked."""

    def __init__(self) -> None:
        self.exclusive = set[str]()
        self.shared = set[str]()


_held = _Held()
_opened = set[int]()


def lock_name(device: str) -> str:
    """Return the name of the lock of a device.

    Args:
        device: "cpu" or "cuda".

    Returns:
        The name; that of a GPU contains its UUID, since its number can differ between processes.
    """
    if device == "cpu":
        return "cpu"
    return f"cuda-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


@contextmanager
def exclusive(device: str, on_lock_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the exclusive lock of a device, against all other processes and threads.

    A nested call has no effect, so that a timing may consist of several timings.

    Args:
        device: Name of the lock, see `lock_name`.
        on_lock_wait: Function that is called once if the lock is held by another process or thread.

    Raises:
        WorkFailed: If the lock files cannot be created.
    """
    assert device not in _held.shared, "timing within the shared lock would wait for itself"
    if device in _held.exclusive:
        yield
        return
    with (
        _file(device, "queue") as queue,
        _file(device, "gate") as gate,
        _file(device, "device") as own,
    ):
        locks = (queue, gate, own)
        if not all(try_lock(lock, fcntl.LOCK_EX) for lock in locks):
            if on_lock_wait is not None:
                on_lock_wait()
            with activity(Kind.WAITING_FOR_DEVICE):
                for lock in locks:
                    fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(queue, fcntl.LOCK_UN)
        _held.exclusive.add(device)
        try:
            yield
        finally:
            _held.exclusive.discard(device)


@contextmanager
def shared(device: str) -> Iterator[Callable[[], None]]:
    """Hold the shared lock of a device for work that is not timed.

    Args:
        device: Name of the lock, see `lock_name`.

    Yields:
        Function to be called frequently between two steps of the work; it yields the device while
        another process times.

    Raises:
        WorkFailed: If the lock files cannot be created.
    """
    assert device not in _held.exclusive | _held.shared, "nested work would wait for itself"
    with _file(device, "gate") as gate, _file(device, "device") as own:

        def yield_device() -> None:
            if try_lock(gate, fcntl.LOCK_SH):
                fcntl.flock(gate, fcntl.LOCK_UN)
                return
            if device.startswith("cuda"):
                # Kernels that still run would affect the timing.
                torch.cuda.synchronize()
            fcntl.flock(own, fcntl.LOCK_UN)
            enter()

        def enter() -> None:
            fcntl.flock(gate, fcntl.LOCK_SH)
            fcntl.flock(own, fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)

        enter()
        _held.shared.add(device)
        try:
            yield yield_device
        finally:
            _held.shared.discard(device)


@contextmanager
def _file(device: str, name: str) -> Iterator[int]:
    """Open a lock file; closing it releases the lock."""
    opened = _open(FOLDER / f"dsx-{device}.{name}")
    _opened.add(opened)
    try:
        yield opened
    finally:
        # In a forked process it is already closed.
        if opened in _opened:
            _opened.remove(opened)
            os.close(opened)


def _open(path: Path) -> int:
    try:
        return open_lock(path)
    except OSError as error:
        raise WorkFailed(f"the lock file {path} cannot be opened: {error}") from error


def _release_in_child() -> None:
    """Release all locks in a forked process; its parent keeps them."""
    for file in _opened:
        os.close(file)
    _opened.clear()
    _held.exclusive.clear()
    _held.shared.clear()


os.register_at_fork(after_in_child=_release_in_child)
