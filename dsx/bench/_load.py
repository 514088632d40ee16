"""A process that loads one core, as another process on a shared machine does."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import torch
from torch import nn

from dsx.errors import WorkFailed


@contextmanager
def load_one_core() -> Iterator[None]:
    """Load one core with convolutions and matrix products inside the context.

    Raises:
        WorkFailed: If the loading process ends before the context.
    """
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_work, args=(started,), daemon=True)
    process.start()
    try:
        while not started.wait(0.1):
            _check_alive(process.is_alive())
        yield
        _check_alive(process.is_alive())
    finally:
        process.terminate()
        process.join()


def _check_alive(alive: bool) -> None:
    if not alive:
        raise WorkFailed("the process that loads one core has ended unexpectedly")


def _work(started: Event) -> None:
    """Compute until the parent process ends, for any reason."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    matrix, images = torch.randn(600, 600), torch.randn(32, 64, 32, 32)
    convolution = nn.Conv2d(64, 64, 3, padding=1)
    with torch.inference_mode():
        while parent.is_alive():
            convolution(images)
            matrix @ matrix
            started.set()
