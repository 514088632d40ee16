"""Latency: milliseconds of one forward pass of the deployed network.

The latency is the median of many short blocks, each corrected for the drift of the machine, with a
95 % interval; see `dsx.measure.timing.interleaved`. With one thread it is the CPU time of the
calling thread, which is more repeatable under load than wall time. Wall time is stored as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsx.activity import Kind, activity
from dsx.analysis import Measurement
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.interleaved import PROTOCOL, time_interleaved
from dsx.measure.timing.reference_workload import reference_backend
from dsx.measure.timing.workload_class import WorkloadClass, classify_workload
from dsx.space import SearchSpace

NAME = "latency_ms"


def read_latencies(
    candidates: Sequence[Candidate], on_lock_wait: Callable[[], None] | None = None
) -> list[Measurement]:
    """Measure the latencies of candidates by interleaved timing.

    Args:
        candidates: Candidates of spaces whose `measure` sections differ at most in the backend.
            Candidates that need different clocks or reference workloads are timed in separate
            groups.
        on_lock_wait: Function that is called if another process holds the device lock.

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
        found = time_interleaved(
            [runs[number] for number in members],
            first.space.file.measure,
            first.reference_times,
            classify_workload(first.space),
            on_lock_wait,
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


def read(candidate: Candidate) -> Measurement:
    """Measure the latency of a candidate until its interval converges or the budget is exhausted.

    Args:
        candidate: The candidate.

    Returns:
        Milliseconds of one forward pass.
    """
    (reading,) = read_latencies([candidate], candidate.on_lock_wait)
    return reading


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Measure the latency of exported files in the same way as in a search.

    Args:
        files: Network that was loaded from exported files.

    Returns:
        Milliseconds of one forward pass, by the name of the metric.
    """
    candidate = files.candidate
    run = candidate.run_of(files.network)
    with activity(Kind.TIMING_EXPORT):
        (reading,) = time_interleaved(
            [run],
            candidate.space.file.measure,
            candidate.reference_times,
            classify_workload(candidate.space),
        )
    return {NAME: reading}


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the timing protocol, and the settings of the deployed network.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
    # The duration of a timing is a part of its protocol, but not of those of other metrics.
    return {**PROTOCOL, **space.file.measure.model_dump(), **run_settings(space.file.measure)}


METRIC = Metric(
    unit="ms",
    direction="minimize",
    stage="timed",
    sums_forms=True,
    read=read,
    read_interleaved=read_latencies,
    protocol=protocol,
    read_exported=read_exported,
)
