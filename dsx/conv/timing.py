"""Interleaved timing of several callables, so that a drift of the machine affects all of them."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

Run = Callable[[], object]
Timer = Callable[[Sequence[Run], float], list[float]]
"""From callables and a budget in seconds to the median seconds of one call of each."""
Timed = Callable[[Run], float]
"""Makes one call and returns how many seconds it took."""
LEAST_ROUNDS = 3


def rounds_until(end: float, least: int = 0) -> Iterator[int]:
    """Count rounds until a time, as every interleaved measurement does.

    Args:
        end: Value of `time.perf_counter` from which no new round begins.
        least: Number of rounds that are made in any case.

    Yields:
        The number of each round, from 0.
    """
    number = 0
    while number < least or time.perf_counter() < end:
        yield number
        number += 1


def interleaved(runs: Sequence[Run], seconds: float, timed: Timed) -> list[list[float]]:
    """Call each of several callables in turn, round after round, and time every call.

    Args:
        runs: The callables; the first call of each is a warm-up.
        seconds: Wall time after which no new round begins; `LEAST_ROUNDS` are made in any case.
        timed: Times one call.

    Returns:
        The samples of each callable in seconds, in the order of time.
    """
    samples: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for run in runs:
            run()
        for _ in rounds_until(time.perf_counter() + seconds, LEAST_ROUNDS):
            for run, own in zip(runs, samples, strict=True):
                own.append(timed(run))
    return samples


def default_clock() -> Callable[[], int]:
    """Choose the clock: CPU time repeats far better than wall time, but for one thread only."""
    return time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns


def timed_by(clock: Callable[[], int]) -> Timed:
    """Return a function that times one call by a clock.

    Args:
        clock: Returns the current time in nanoseconds.

    Returns:
        The function.
    """

    def timed(run: Run) -> float:
        begin = clock()
        run()
        return (clock() - begin) / 1e9

    return timed


def medians(runs: Sequence[Run], seconds: float, timed: Timed | None = None) -> list[float]:
    """Return the median time of one call of each of several callables: the simplest `Timer`.

    Args:
        runs: The callables.
        seconds: Wall time after which no new round of calls begins.
        timed: Times one call; by default by the clock that `default_clock` chooses.

    Returns:
        Seconds, in the same order.
    """
    samples = interleaved(runs, seconds, timed or timed_by(default_clock()))
    return [statistics.median(own) for own in samples]
