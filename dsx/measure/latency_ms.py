"""Latency: milliseconds of one forward pass of the deployed network.

The median of many calls with its 95 % interval; CPU time of the calling thread where torch uses
one thread, since on a busy machine that repeats far better than wall time, which stands beside it.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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
    deployed, sample = candidate.deployed, candidate.sample
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    with torch.inference_mode():
        times, walls = sample_calls(lambda: deployed(sample))
    median, low, high = median_interval(times)
    conditions = {
        "clock": "thread" if torch.get_num_threads() == 1 else "wall",
        "wall_ms": statistics.median(walls),
        "load_average": load,
        "narrow": high - low <= PROTOCOL["target_width"] * median,
        "forms": {name: choice.form for name, choice in deployed.choices.items()},
        "folded_norms": deployed.folded,
        "untraced": deployed.untraced,
    }
    return Reading(value=median, low=low, high=high, samples=times, conditions=conditions)


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
        the median lies with 95 % probability, whatever the distribution.

    Source:
        The binomial distribution of the number of samples below the median, approximated.
    """
    ordered = sorted(samples)
    half = 1.959963984540054 * math.sqrt(len(ordered)) / 2
    low = max(0, math.floor(len(ordered) / 2 - half))
    high = min(len(ordered) - 1, math.ceil(len(ordered) / 2 + half) - 1)
    return statistics.median(ordered), ordered[low], ordered[max(low, high)]


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """How it is timed, and how the network is deployed."""
    return {**PROTOCOL, **space.file.measure.model_dump()}


METRIC = Metric(unit="ms", direction="minimize", cost="timed", read=read, protocol=protocol)
