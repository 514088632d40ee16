"""Load: a process that keeps one core at work, as a neighbour on a busy machine does."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import torch
from torch import nn

from dsx.errors import WorkFailed


@contextmanager
def loaded() -> Iterator[None]:
    """Keep one core at work meanwhile, with convolutions and matrix products.

    Raises:
        WorkFailed: If the process that does it ends before its time.
    """
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_work, args=(begun,), daemon=True)
    process.start()
    try:
        while not begun.wait(0.1):
            _check(process.is_alive())
        yield
        _check(process.is_alive())
    finally:
        process.terminate()
        process.join()


def _check(alive: bool) -> None:
    if not alive:
        raise WorkFailed("the process that was to load the machine has ended")


def _work(begun: Event) -> None:
    """Compute until the process that wants it ends, by whatever way."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    matrix, images = torch.randn(600, 600), torch.randn(32, 64, 32, 32)
    convolution = nn.Conv2d(64, 64, 3, padding=1)
    with torch.inference_mode():
        while parent.is_alive():
            convolution(images)
            matrix @ matrix
            begun.set()
