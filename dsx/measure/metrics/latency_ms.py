"""Latency: milliseconds of one forward pass of the deployed network.

The median of many short blocks, each corrected for the drift of the machine, with its 95 %
interval; see `dsx.measure.timing.interleaved`. With one thread it is the CPU time of the calling
thread, which repeats far better on a busy machine than wall time; that is stored too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dsx.activity import Kind, activity
from dsx.analysis import Measurement
from dsx.lookup import find
from dsx.measure.backends import Backend, versions
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.metrics._base import Metric
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.interleaved import PROTOCOL, time_in_turn
from dsx.measure.timing.reference_workload import reference_backend
from dsx.measure.timing.workload_class import WorkloadClass, classify_workload
from dsx.space import SearchSpace

NAME = "latency_ms"


def read_latencies(
    candidates: Sequence[Candidate], waiting: Callable[[], None] | None = None
) -> list[Measurement]:
    """Time candidates in turn, as each would be timed alone.

    Args:
        candidates: Of spaces whose `measure` may differ in the backend only. Those that
            another clock or another sentinel goes with are timed in turn among themselves.
        waiting: Called if the device is not free at once.

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
            waiting,
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


def read(candidate: Candidate) -> Measurement:
    """Time the deployed network until the interval is narrow or the time is spent."""
    (reading,) = read_latencies([candidate], candidate.on_lock_wait)
    return reading


def read_exported(files: Exported) -> dict[str, Measurement]:
    """Time the exported network as a search times its candidates."""
    candidate = files.candidate
    run = candidate.run_of(files.network)
    with activity(Kind.TIMING_EXPORT):
        (reading,) = time_in_turn(
            [run],
            candidate.space.file.measure,
            candidate.reference_times,
            classify_workload(candidate.space),
        )
    return {NAME: reading}


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """How it is timed, and how the network is deployed."""
    measure = space.file.measure
    return {**PROTOCOL, **measure.model_dump(), "packages": versions(measure.backend)}


METRIC = Metric(
    unit="ms",
    direction="minimize",
    stage="timed",
    read=read,
    read_in_turn=read_latencies,
    protocol=protocol,
    read_exported=read_exported,
)
