"""Clocks that time blocks of calls."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from dsx.conv import Run


class Times(NamedTuple):
    """Milliseconds of one call, determined from a block of calls.

    Args:
        own: Median of the calls in the time of the clock.
        wall: Mean of the calls in wall time.
    """

    own: float
    wall: float


class Clock(Protocol):
    """A clock that times blocks of calls."""

    @property
    def name(self) -> str:
        """Name of the clock: "thread" or "process" (CPU time), "wall", or "events" (GPU)."""
        ...

    @property
    def device(self) -> str:
        """Device that the calls run on."""
        ...

    def time(self, run: Run, calls: int) -> Times:
        """Time a block of calls.

        Args:
            run: Function to be called.
            calls: Number of calls.

        Returns:
            Milliseconds of one call.
        """
        ...


def clock_for(device: str, threads: int, single: str) -> Clock:
    """Select the clock.

    Args:
        device: "cpu" or "cuda".
        threads: Number of threads that the calls use.
        single: Clock for one thread: "thread" or "process".

    Returns:
        CPU time for one thread, because it is more repeatable than wall time on a shared machine;
        wall time for several threads; the clock of the GPU on a GPU.
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
    """A clock of the CPU that times each call of a block.

    Args:
        name: Name of the clock: "thread", "process" or "wall".
        device: "cpu".
    """

    name: str
    device: str = "cpu"

    def time(self, run: Run, calls: int) -> Times:
        """Time a block of calls.

        Args:
            run: Function to be called.
            calls: Number of calls.

        Returns:
            Milliseconds of one call.
        """
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
    """A clock of the GPU that times a block between two events, without waiting inside it."""

    name, device = "events", "cuda"

    def time(self, run: Run, calls: int) -> Times:
        """Time a block of calls; the GPU is idle before and after the block.

        Args:
            run: Function to be called.
            calls: Number of calls.

        Returns:
            Milliseconds of one call.
        """
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
