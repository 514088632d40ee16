"""Clock: what a block of calls is timed by."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from dsx.conv import Run


class Times(NamedTuple):
    """Milliseconds of one call, as a block of calls shows them.

    Args:
        own: Median by the clock.
        wall: Mean by the wall clock.
    """

    own: float
    wall: float


class Clock(Protocol):
    """Times blocks of calls.

    Attributes:
        name: "thread" for CPU time of the calling thread, "process" for that of all threads,
            "wall", or "events" for a GPU's own clock.
        device: Where the calls do their work.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    def time(self, run: Run, calls: int) -> Times:
        """Time a block."""
        ...


def clock_for(device: str, threads: int, single: str) -> Clock:
    """Choose the clock.

    Args:
        device: "cpu" or "cuda".
        threads: That the calls use.
        single: The clock for one thread: "thread" or "process".

    Returns:
        CPU time for one thread, since on a shared machine it repeats far better than wall time;
        wall time for several; a GPU's own clock for a GPU.
    """
    if device == "cuda":
        return EventClock()
    return CpuClock(single if threads == 1 else "wall")


_NANOSECONDS: dict[str, Callable[[], int]] = {
    "thread": time.thread_time_ns,
    "process": time.process_time_ns,
    "wall": time.perf_counter_ns,
}


@dataclass(frozen=True)
class CpuClock:
    """Times each call of a block.

    Args:
        name: Which clock.
        device: "cpu".
    """

    name: str
    device: str = "cpu"

    def time(self, run: Run, calls: int) -> Times:
        """Time a block."""
        now = _NANOSECONDS[self.name]
        own = []
        start = time.perf_counter_ns()
        for _ in range(calls):
            begin = now()
            run()
            own.append(now() - begin)
        wall = (time.perf_counter_ns() - start) / calls
        return Times(statistics.median(own) / 1e6, wall / 1e6)


class EventClock:
    """Times a block between two events on the GPU, so that nobody waits for it inside."""

    name, device = "events", "cuda"

    def time(self, run: Run, calls: int) -> Times:
        """Time a block; the GPU is idle before and after it."""
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        start = time.perf_counter_ns()
        first.record()
        for _ in range(calls):
            run()
        last.record()
        torch.cuda.synchronize()
        wall = (time.perf_counter_ns() - start) / 1e6
        return Times(first.elapsed_time(last) / calls, wall / calls)
