"""Load of the machine by other processes during a measurement.

The load is determined from the CPU times of the whole system, which take some microseconds to read.
Processes are only listed, right after the measurement, if there was a load.
"""

import math
import os
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil

from dsx.analysis import Machine, Process

NOISY_CORES = 0.3
NOISY_FRACTION = 0.05
"""Load in cores, and as a fraction of all cores, above which the machine is noisy."""

TICK = 0.01
"""Resolution of the CPU time of each core in seconds."""

HEAVY_CORES = 0.25
MAX_HEAVY = 5
SAMPLE_SECONDS, CACHE_SECONDS = 0.1, 5.0
SHORTEST_SECONDS = 5 * TICK
"""Shortest time for which the resolution suffices to determine the load."""

_BUSY = ("user", "nice", "system", "irq", "softirq")
_IDLE = ("idle", "iowait", "steal")


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The time counters of the machine at one moment, in seconds.

    Args:
        wall: Wall time.
        own: CPU time of this process.
        used: CPU time of all processes on the cores that this process may use.
        stolen: Time for which the hypervisor did not provide these cores to this virtual machine.
        counted: Total time that the system has counted on these cores, including idle time.
        cores: Number of these cores.
        load_average: Load average of the last minute; None if the system does not provide one.
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
        noisy: Whether the load is too high to measure; None if it is unknown.
        machine: State of the machine.
    """

    noisy: bool | None
    machine: Machine


def read_counters() -> Counters:
    """Read the time counters of the machine, which takes less than 0.1 ms.

    Returns:
        The counters.
    """
    times = _usable(psutil.cpu_times(percpu=True))
    sums = {name: sum(getattr(core, name, 0.0) for core in times) for name in (*_BUSY, *_IDLE)}
    return Counters(
        wall=time.perf_counter(),
        own=time.process_time(),
        used=sum(sums[name] for name in _BUSY),
        stolen=sums["steal"],
        counted=sum(sums.values()),
        cores=len(times),
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _usable(times: list[Any]) -> list[Any]:
    """Select the cores that this process may use; others do not affect it."""
    if not hasattr(os, "sched_getaffinity"):
        return times
    allowed = os.sched_getaffinity(0)
    # If cores are offline or hidden from a container, their numbers are not indices of the list.
    if max(allowed) >= len(times):
        return times
    return [times[core] for core in sorted(allowed)]


def load_since(before: Counters, after: Counters | None = None) -> Load:
    """Determine the load of the machine by other processes during a measurement.

    Args:
        before: Counters before the measurement.
        after: Counters after the measurement; None to read them now.

    Returns:
        Whether the machine was noisy, and its state: the load average before the measurement, the
        number of cores used by other processes, the number of stolen cores and, if the machine was
        noisy, the processes (at most 5) with the highest load. Except for the load average, these
        are None or empty if the system does not count, or if the time was too short.
    """
    after = after or read_counters()
    used = cores_of_others(before, after)
    if used is None:
        return _load(before, None, None, None)
    seconds = after.wall - before.wall
    stolen = (after.stolen - before.stolen) / seconds
    uncertainty = TICK * after.cores / seconds
    noisy = used + stolen > max(NOISY_CORES, NOISY_FRACTION * after.cores) + uncertainty
    return _load(before, round(used, 2), round(stolen, 2), noisy)


def cores_of_others(before: Counters, after: Counters) -> float | None:
    """Compute the number of cores that other processes used between two moments.

    Args:
        before: Counters at the first moment.
        after: Counters at the second moment.

    Returns:
        Number of cores; None if the system does not count, or if the time was too short.
    """
    seconds = after.wall - before.wall
    # The counters of some sandboxes do not advance.
    counts = after.counted - before.counted > 0.5 * seconds * after.cores
    if seconds < SHORTEST_SECONDS or not counts or after.cores != before.cores:
        return None
    used = (after.used - before.used) - (after.own - before.own)
    # It can be slightly negative, because the clock of this process is finer than ticks.
    return max(0.0, used / seconds)


def _load(before: Counters, others: float | None, stolen: float | None, noisy: bool | None) -> Load:
    machine = Machine(
        load_average=before.load_average,
        others=others,
        stolen=stolen,
        heavy=tuple(_cache.heavy()) if noisy else (),
    )
    return Load(noisy, machine)


def heavy_processes(seconds: float = SAMPLE_SECONDS) -> list[Process]:
    """List the other processes with the highest load.

    Args:
        seconds: Duration of the observation.

    Returns:
        At most five processes that use more than a quarter of a core, in descending order of load.
        Processes of other containers are not visible.
    """
    begin, before = time.perf_counter(), _processes()
    time.sleep(seconds)
    passed, after = time.perf_counter() - begin, _processes()
    found = [
        Process(process=name, pid=pid, cores=round((used - before[pid][1]) / passed, 2))
        for pid, (name, used) in after.items()
        if pid in before and (used - before[pid][1]) / passed > HEAVY_CORES
    ]
    return sorted(found, key=lambda one: -one.cores)[:MAX_HEAVY]


class _ProcessCache:
    """The last list of processes; creating one takes as long as a short measurement."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._last: list[Process] = []

    def heavy(self) -> list[Process]:
        if time.monotonic() >= self._until:
            self._last = heavy_processes()
            self._until = time.monotonic() + CACHE_SECONDS
        return self._last


_cache = _ProcessCache()


def _processes() -> dict[int, tuple[str, float]]:
    """Return the name and the CPU time in seconds of each other process, by process id."""
    found = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        # Some systems hide the times of processes of other users.
        if process.pid != os.getpid() and times is not None:
            found[process.pid] = (process.info["name"] or "?", times.user + times.system)
    return found
