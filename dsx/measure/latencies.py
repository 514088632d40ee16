"""Side by side: the latencies of several candidates, timed in turn."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from dsx.analysis import Measurement
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.candidate import Candidate
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.interleaved import time_in_turn
from dsx.measure.timing.reference_workload import reference_backend
from dsx.measure.timing.workload_class import WorkloadClass, classify_workload


def read_latencies(
    candidates: Sequence[Candidate], on_lock_wait: Callable[[], None] | None = None
) -> list[Measurement]:
    """Time candidates in turn, as each would be timed alone.

    Args:
        candidates: Of spaces whose `measure` may differ in the backend only. Those that
            another clock or another sentinel goes with are timed in turn among themselves.
        on_lock_wait: Called if the device is not free at once.

    Returns:
        Milliseconds of one forward pass of each, in the same order.
    """
    # All of them first: preparing one takes longer than timing it.
    runs = [candidate.run for candidate in candidates]
    yardsticks = [_yardstick(candidate) for candidate in candidates]
    readings: dict[int, Measurement] = {}
    for yardstick in dict.fromkeys(yardsticks):
        group = [number for number, own in enumerate(yardsticks) if own == yardstick]
        first = candidates[group[0]]
        found = time_in_turn(
            [runs[number] for number in group],
            first.space.file.measure,
            first.reference_times,
            classify_workload(first.space),
            on_lock_wait,
        )
        readings |= dict(zip(group, found, strict=True))
    return [
        replace(
            readings[number],
            provenance=replace(readings[number].provenance, deployment=candidate.deployment),
        )
        for number, candidate in enumerate(candidates)
    ]


def _yardstick(candidate: Candidate) -> tuple[str, str, WorkloadClass]:
    """Name the clock, the backend of the sentinel and its company."""
    measure = candidate.space.file.measure
    clock = clock_for(measure.device, measure.threads, find(Backend, measure.backend).clock)
    return clock.name, reference_backend(measure.backend), classify_workload(candidate.space)
