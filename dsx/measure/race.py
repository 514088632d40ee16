"""Race: time the forms of a convolution against each other, on a device that nobody disturbs."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from dsx.conv.timing import Run, Timer
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.clock import clock_for
from dsx.measure.lock import exclusive, lock_name
from dsx.space.schema import Measure

LEAST_ROUNDS = 3


def timer(measure: Measure, waiting: Callable[[], None] | None = None) -> Timer:
    """Make the timer that `dsx.conv.deploy` chooses forms with.

    Args:
        measure: The `measure` of a space: device, threads, backend.
        waiting: Called if the device is not free at once.

    Returns:
        From callables and a budget in seconds to the median seconds of one call of each.
    """
    backend = find(Backend, measure.backend)
    clock = clock_for(measure.device, measure.threads, backend.clock if backend.races else "thread")

    def race(runs: Sequence[Run], seconds: float) -> list[float]:
        samples: list[list[float]] = [[] for _ in runs]
        with torch.inference_mode(), exclusive(lock_name(measure.device), waiting):
            for run in runs:
                run()
            end, rounds = time.perf_counter() + seconds, 0
            while rounds < LEAST_ROUNDS or time.perf_counter() < end:
                for run, own in zip(runs, samples, strict=True):
                    own.append(clock.time(run, 1).own)
                rounds += 1
        return [statistics.median(own) / 1e3 for own in samples]

    return race
