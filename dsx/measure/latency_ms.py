"""Latency: milliseconds of one forward pass of the deployed network.

The median of many calls with its 95 % interval; CPU time of the calling thread where torch uses
one thread, since on a busy machine that repeats far better than wall time, which stands beside it.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from dsx.conv.timing import default_clock
from dsx.measure._base import Candidate, Metric, Reading
from dsx.space import SearchSpace

PROTOCOL = {
    "version": 1,
    "warm_up_seconds": 0.05,
    "least_seconds": 0.15,
    "most_seconds": 1.0,
    "least_samples": 30,
    "target_width": 0.02,
}


def read(candidate: Candidate) -> Reading:
    """Time the deployed network until the interval is narrow or the time is spent."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    threads = candidate.space.file.measure.threads
    with torch_threads(threads):
        deployed, sample = candidate.deployed, candidate.sample
        with torch.inference_mode():
            times, walls = sample_calls(lambda: deployed(sample))
    median, low, high = median_interval(times)
    conditions = {
        "clock": "thread" if threads == 1 else "wall",
        "wall_ms": statistics.median(walls),
        "load_average": load,
        "narrow": high - low <= PROTOCOL["target_width"] * median,
        "forms": {name: choice.form for name, choice in deployed.choices.items()},
        "folded_norms": deployed.folded,
        "untraced": deployed.untraced,
    }
    return Reading(value=median, low=low, high=high, samples=times, conditions=conditions)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use so many threads, whatever it uses elsewhere.

    Args:
        number: Threads inside one operator.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sample_calls(call: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Warm up, then time single calls as `PROTOCOL` says.

    Args:
        call: What to time.

    Returns:
        Milliseconds of each call by the protocol's clock, and by the wall clock.
    """
    clock = default_clock()
    warm = time.perf_counter() + PROTOCOL["warm_up_seconds"]
    while time.perf_counter() < warm:
        call()
    times: list[float] = []
    walls: list[float] = []
    start = time.perf_counter()
    while not _enough(times, time.perf_counter() - start):
        # Whether it is enough is asked once in a while: the answer takes longer than a call.
        for _ in range(int(PROTOCOL["least_samples"])):
            wall, begin = time.perf_counter_ns(), clock()
            call()
            times.append((clock() - begin) / 1e6)
            walls.append((time.perf_counter_ns() - wall) / 1e6)
            if time.perf_counter() - start > PROTOCOL["most_seconds"] and len(times) > 5:
                break
    return times, walls


def _enough(times: Sequence[float], seconds: float) -> bool:
    if seconds > PROTOCOL["most_seconds"]:
        return True
    if seconds < PROTOCOL["least_seconds"]:
        return False
    median, low, high = median_interval(times)
    return high - low <= PROTOCOL["target_width"] * median


def median_interval(samples: Sequence[float]) -> tuple[float, float, float]:
    """Give the median and its 95 % interval.

    Args:
        samples: One or more.

    Returns:
        Median, lower end, upper end. The ends are samples themselves: those between whose ranks
        the median lies with at least 95 % probability, whatever the distribution; of fewer than
        six samples the least and the largest, with what probability these have.

    Source:
        The binomial distribution of the number of samples below the median, approximated with
        the continuity correction; that never gives a narrower interval than the exact one.
    """
    ordered = sorted(samples)
    count = len(ordered)
    rank = math.floor((count + 1 - 1.959963984540054 * math.sqrt(count)) / 2)
    low = max(rank - 1, 0)
    return statistics.median(ordered), ordered[low], ordered[count - 1 - low]


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """How it is timed, and how the network is deployed."""
    return {**PROTOCOL, **space.file.measure.model_dump()}


METRIC = Metric(unit="ms", direction="minimize", cost="timed", read=read, protocol=protocol)
