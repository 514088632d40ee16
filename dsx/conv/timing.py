"""Time several callables in turn, so that a drift of the machine hits all alike."""

import time
from collections.abc import Callable, Sequence

import torch

Run = Callable[[], object]
Timer = Callable[[Sequence[Run], float], list[float]]
"""From callables and a budget in seconds to the median seconds of one call of each."""


def interleaved(
    runs: Sequence[Run], seconds: float, clock: Callable[[], int] | None = None, least: int = 3
) -> list[list[float]]:
    """Call each run in turn, round after round, and time every call.

    Args:
        runs: What to time; the first call of each is a warm-up.
        seconds: Wall time after which no new round begins.
        clock: Nanoseconds; by default the CPU time of this thread where torch uses one thread,
            else wall time.
        least: Rounds that are made in any case.

    Returns:
        The samples of each run in seconds, in the order of time.
    """
    clock = clock or default_clock()
    samples: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for run in runs:
            run()
        end = time.perf_counter() + seconds
        rounds = 0
        while rounds < least or time.perf_counter() < end:
            for run, own in zip(runs, samples, strict=True):
                begin = clock()
                run()
                own.append((clock() - begin) / 1e9)
            rounds += 1
    return samples


def default_clock() -> Callable[[], int]:
    """Choose the clock: CPU time repeats far better than wall time, but for one thread only."""
    return time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns


def medians(runs: Sequence[Run], seconds: float) -> list[float]:
    """Give the median seconds of one call of each run: the plainest `Timer`."""
    return [sorted(own)[len(own) // 2] for own in interleaved(runs, seconds)]
