"""Latency: milliseconds of one forward pass of the deployed network.

The median of many short blocks, each corrected for the drift of the machine, with its 95 %
interval; see `dsx.measure.timing.interleaved`. With one thread it is the CPU time of the calling
thread, which repeats far better on a busy machine than wall time; that is stored too.
"""

from collections.abc import Mapping
from typing import Any

from dsx.activity import Kind, activity
from dsx.analysis import Measurement
from dsx.measure.backends import versions
from dsx.measure.candidate import Candidate, Exported
from dsx.measure.latencies import read_latencies
from dsx.measure.metrics._base import Metric
from dsx.measure.timing.interleaved import PROTOCOL, time_in_turn
from dsx.measure.timing.workload_class import classify_workload
from dsx.space import SearchSpace

NAME = "latency_ms"


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
