"""Latencies of the designs of several searches, from timing all of them together."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dsx.bench.searching.merit import LATENCY
from dsx.bench.searching.record import Found
from dsx.bench.searching.trained import design_of, restore_weights
from dsx.conv.deploy import Choice
from dsx.lookup import find
from dsx.measure import Candidate, Metric
from dsx.process import torch_threads
from dsx.space import SearchSpace

TOGETHER = 8
"""Number of designs that are timed interleaved, of which the first is the baseline."""


def time_designs(
    space: SearchSpace,
    searches: Sequence[tuple[Sequence[Found], Path]],
    report: Callable[[str], None],
) -> Mapping[str, float]:
    """Time all designs of several searches, in groups that all contain the baseline.

    Each latency is divided by that of the baseline in the same group, so that the speed of the
    machine, which may change, affects no comparison.

    Args:
        space: The search space.
        searches: Designs of each search, the baseline first, and the folder of its weights.
        report: Function that receives the progress.

    Returns:
        Milliseconds by design id.
    """
    forms: dict[str, Choice] = {}
    times: dict[str, float] = {}
    places = {found.id: (found, folder) for designs, folder in searches for found in designs}
    baseline, *others = places.values()
    ratios = {baseline[0].id: 1.0}
    whole: list[float] = []
    with torch_threads(space.file.measure.threads):
        reference = _candidate(space, *baseline, forms, times)
        size = TOGETHER - 1
        for start in range(0, len(others), size):
            report(f"timing designs {start + 1} to {start + size} of {len(others)} together")
            group = [
                _candidate(space, *each, forms, times) for each in others[start : start + size]
            ]
            first, *values = _latencies([reference, *group])
            whole.append(first)
            ratios |= {each.design.id: v / first for each, v in zip(group, values, strict=True)}
    middle = statistics.median(whole)
    return {name: ratio * middle for name, ratio in ratios.items()}


def _candidate(
    space: SearchSpace,
    found: Found,
    folder: Path,
    forms: dict[str, Choice],
    times: dict[str, float],
) -> Candidate:
    candidate = Candidate(space, design_of(space, found), forms, reference_times=times)
    restore_weights(candidate, folder)
    return candidate


def _latencies(candidates: list[Candidate]) -> list[float]:
    metric = find(Metric, LATENCY)
    assert metric.read_interleaved is not None, "latencies are timed interleaved"
    return [reading.value for reading in metric.read_interleaved(candidates, None)]
