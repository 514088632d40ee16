"""Busy: what else works on this machine while something is measured.

The CPU times of the whole system decide; they cost some microseconds. Only where they show that
others were at work are the processes looked at, right after the measurement.
"""

import math
import os
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil

from dsx.analysis import Machine, Process

LEAST_CORES = 0.3
LEAST_SHARE = 0.05
"""Others are busy from so many cores on, or from so large a share of a machine with many."""

TICK = 0.01
"""The system counts CPU time in steps of so many seconds, on each core."""

HEAVY_CORES = 0.25
MOST_HEAVY = 5
WATCHED_SECONDS, LISTED_SECONDS = 0.1, 5.0
SHORTEST_SECONDS = 5 * TICK
"""In a shorter time too few ticks pass to tell anything."""

_WORKING = ("user", "nice", "system", "irq", "softirq")
_RESTING = ("idle", "iowait", "steal")


@dataclass(frozen=True, kw_only=True)
class Look:
    """The seconds that had passed, and had been used, at a moment.

    Args:
        wall: Of a clock.
        own: CPU time of this process.
        used: CPU time of all processes, on the cores that this process may use.
        stolen: Time in which these cores were kept by the machine below this virtual one.
        counted: All that the system has counted on these cores, idle time too.
        cores: How many these are.
        load_average: Of the last minute; None where the system has none.
    """

    wall: float
    own: float
    used: float
    stolen: float
    counted: float
    cores: int
    load_average: float | None


class Load(NamedTuple):
    """The load of the machine by other processes.

    Attributes:
        noisy: Whether it is too high to measure; None if that cannot be told.
        machine: The load.
    """

    noisy: bool | None
    machine: Machine


def look() -> Look:
    """Look at the clocks of the machine; costs less than a tenth of a millisecond."""
    times = _usable(psutil.cpu_times(percpu=True))
    sums = {
        name: sum(getattr(core, name, 0.0) for core in times) for name in (*_WORKING, *_RESTING)
    }
    return Look(
        wall=time.perf_counter(),
        own=time.process_time(),
        used=sum(sums[name] for name in _WORKING),
        stolen=sums["steal"],
        counted=sum(sums.values()),
        cores=len(times),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _usable(times: list[Any]) -> list[Any]:
    """Keep the cores that this process may use: what runs on others does not disturb it."""
    if not hasattr(os, "sched_getaffinity"):
        return times
    allowed = os.sched_getaffinity(0)
    # Where a core is offline, or a container hides some, the list does not go by their numbers.
    if max(allowed) >= len(times):
        return times
    return [times[core] for core in sorted(allowed)]


def since(before: Look, after: Look | None = None) -> Load:
    """Say what else has worked on this machine since a moment.

    Args:
        before: That moment.
        after: Until when; by default now.

    Returns:
        Whether the machine is noisy, and its load: the load average at that moment, the cores that
        other processes kept at work, those that another virtual machine had and, if the machine is
        noisy, the processes (at most 5) that use the most, as a list of the last five seconds has
        them. All but the load average is None or empty where the system does not count, or the time
        was too short to tell.
    """
    after = after or look()
    at_work = others(before, after)
    if at_work is None:
        return _told(before, None, None, None)
    seconds = after.wall - before.wall
    stolen = (after.stolen - before.stolen) / seconds
    unsure = TICK * after.cores / seconds
    noisy = at_work + stolen > max(LEAST_CORES, LEAST_SHARE * after.cores) + unsure
    return _told(before, round(at_work, 2), round(stolen, 2), noisy)


def others(before: Look, after: Look) -> float | None:
    """Say how many cores other processes kept at work between two moments.

    Args:
        before: The first.
        after: The second.

    Returns:
        Cores; None where the system does not count, or the time was too short to tell.
    """
    seconds = after.wall - before.wall
    # Some sandboxes show counters that stand still.
    counts = after.counted - before.counted > 0.5 * seconds * after.cores
    if seconds < SHORTEST_SECONDS or not counts or after.cores != before.cores:
        return None
    used = (after.used - before.used) - (after.own - before.own)
    # The clock of this process is finer than ticks, so that a little less than nothing can be left.
    return max(0.0, used / seconds)


def _told(before: Look, others: float | None, stolen: float | None, noisy: bool | None) -> Load:
    machine = Machine(
        load_average=before.load_average,
        others=others,
        stolen=stolen,
        heavy=tuple(_watch.heavy()) if noisy else (),
    )
    return Load(noisy, machine)


def heavy(seconds: float = WATCHED_SECONDS) -> list[Process]:
    """Watch all other processes for a moment.

    Args:
        seconds: How long.

    Returns:
        Those that used more than a quarter of a core, at most five, the heaviest first. Processes
        of another container cannot be seen.
    """
    begin, before = time.perf_counter(), _processes()
    time.sleep(seconds)
    passed, after = time.perf_counter() - begin, _processes()
    found = [
        Process(process=name, pid=pid, cores=round((used - before[pid][1]) / passed, 2))
        for pid, (name, used) in after.items()
        if pid in before and (used - before[pid][1]) / passed > HEAVY_CORES
    ]
    return sorted(found, key=lambda one: -one.cores)[:MOST_HEAVY]


class _Watch:
    """Remembers the last list for a moment, since to make one takes as long as a short reading."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._last: list[Process] = []

    def heavy(self) -> list[Process]:
        if time.monotonic() >= self._until:
            self._last = heavy()
            self._until = time.monotonic() + LISTED_SECONDS
        return self._last


_watch = _Watch()


def _processes() -> dict[int, tuple[str, float]]:
    """Give the name of each other process, and the seconds that it has used."""
    found = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        # Of a process that is not ours some systems tell nothing.
        if process.pid != os.getpid() and times is not None:
            found[process.pid] = (process.info["name"] or "?", times.user + times.system)
    return found
