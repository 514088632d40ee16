"""Interleaved measurement of the latencies of several candidates."""

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
    candidates: Sequence[Candidate], waiting: Callable[[], None] | None = None
) -> list[Measurement]:
    """Measure the latencies of candidates by interleaved timing.

    Args:
        candidates: Candidates of spaces whose `measure` sections differ at most in the backend.
            Candidates that need different clocks or reference workloads are timed in separate
            groups.
        waiting: Function that is called if another process holds the device lock.

    Returns:
        Milliseconds of one forward pass of each candidate, in the order of the candidates.
    """
    # Prepare all runs before timing, because preparation takes longer than timing.
    runs = [candidate.run for candidate in candidates]
    groups = [_timing_group(candidate) for candidate in candidates]
    readings: dict[int, Measurement] = {}
    for group in dict.fromkeys(groups):
        members = [number for number, own in enumerate(groups) if own == group]
        first = candidates[members[0]]
        found = time_in_turn(
            [runs[number] for number in members],
            first.space.file.measure,
            first.reference_times,
            classify_workload(first.space),
            waiting,
        )
        readings |= dict(zip(members, found, strict=True))
    return [
        replace(
            readings[number],
            provenance=replace(readings[number].provenance, deployment=candidate.deployment),
        )
        for number, candidate in enumerate(candidates)
    ]


def _timing_group(candidate: Candidate) -> tuple[str, str, WorkloadClass]:
    """Return the clock, the backend of the reference workload and the workload class."""
    measure = candidate.space.file.measure
    clock = clock_for(measure.device, measure.threads, find(Backend, measure.backend).clock)
    return clock.name, reference_backend(measure.backend), classify_workload(candidate.space)
