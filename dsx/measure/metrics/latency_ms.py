"""Latency: milliseconds of one forward pass of the deployed network.

The latency is the median of many short blocks, each corrected for the drift of the machine, with a
95 % interval; see `dsx.measure.timing.interleaved`. With one thread it is the CPU time of the
calling thread, which is more repeatable under load than wall time. Wall time is stored as well.
"""

from collections.abc import Mapping
from typing import Any

from dsx.activity import activity
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
    """Measure the latency of a candidate until its interval converges or the budget is exhausted.

    Args:
        candidate: The candidate.

    Returns:
        Milliseconds of one forward pass.
    """
    (reading,) = read_latencies([candidate], candidate.waiting)
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
    with activity("timing the exported model"):
        (reading,) = time_in_turn(
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
