"""Interleaved timing of several callables, so that drift of the machine affects all equally."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

Run = Callable[[], object]
Timer = Callable[[Sequence[Run], float], list[float]]
"""Function of callables and a time budget in seconds; returns the median time of each call."""
CallTimer = Callable[[Run], float]
"""Function that calls its argument once and returns the duration in seconds."""
MIN_ROUNDS = 3


def rounds_until(end: float, least: int = 0) -> Iterator[int]:
    """Count the rounds of an interleaved measurement until a deadline.

    Args:
        end: Deadline as a value of `time.perf_counter`; no round starts after it.
        least: Minimum number of rounds, regardless of the deadline.

    Yields:
        The index of each round, starting from 0.
    """
    number = 0
    while number < least or time.perf_counter() < end:
        yield number
        number += 1


def interleaved(runs: Sequence[Run], seconds: float, time_call: CallTimer) -> list[list[float]]:
    """Time every call of several callables in round-robin order.

    Args:
        runs: Callables to time; the first call of each is a warm-up.
        seconds: Time budget in seconds, after which no new round starts; at least `MIN_ROUNDS`
            rounds are run.
        time_call: Function that times one call.

    Returns:
        The samples of each callable in seconds, in chronological order.
    """
    samples: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for run in runs:
            run()
        for _ in rounds_until(time.perf_counter() + seconds, MIN_ROUNDS):
            for run, times in zip(runs, samples, strict=True):
                times.append(time_call(run))
    return samples


def default_clock() -> Callable[[], int]:
    """Return the clock with the best repeatability: CPU time for one thread, else wall time."""
    return time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns


def call_timer(clock: Callable[[], int]) -> CallTimer:
    """Build a function that times one call with a clock.

    Args:
        clock: Function that returns the current time in nanoseconds.

    Returns:
        The function.
    """

    def time_call(run: Run) -> float:
        begin = clock()
        run()
        return (clock() - begin) / 1e9

    return time_call


def medians(runs: Sequence[Run], seconds: float, time_call: CallTimer | None = None) -> list[float]:
    """Measure the median time of one call of each of several callables; the simplest `Timer`.

    Args:
        runs: Callables to time.
        seconds: Time budget in seconds, after which no new round starts.
        time_call: Function that times one call; by default one based on `default_clock`.

    Returns:
        The median time of each callable in seconds, in the same order.
    """
    samples = interleaved(runs, seconds, time_call or call_timer(default_clock()))
    return [statistics.median(times) for times in samples]
