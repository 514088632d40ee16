"""Re-measurement of designs of a study, in addition to their stored readings."""

from collections.abc import Iterable, Sequence

from dsx.activity import Event, Kind, OnStatus
from dsx.analysis import Entry, Front
from dsx.errors import WorkFailed
from dsx.measure import Candidate
from dsx.search.candidates import Candidates
from dsx.search.evaluator import read_metrics
from dsx.search.lookup import Lookup
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.studies import Study
from dsx.store.weights import Weights

MAX_INTERLEAVED = 8
"""Largest number of designs that are timed interleaved; more would use too much memory."""


def remeasure(
    designs: Sequence[Design],
    names: Sequence[str],
    plan: Plan,
    study: Study,
    on_status: OnStatus,
    max_interleaved: int = MAX_INTERLEAVED,
) -> list[str]:
    """Measure timed metrics of designs again.

    Args:
        designs: Designs of the study.
        names: Names of the metrics to measure.
        plan: Metrics of the study and their protocols.
        study: The study. A design with learned shapes is skipped if the study does not keep its
            weights, because its shapes are then unknown.
        on_status: Called with an event before each group of designs.
        max_interleaved: Largest number of designs that are timed interleaved.

    Returns:
        The ids of the designs that have a new reading. One of several designs with the same
        deployed network is timed, and its reading counts for all of them.
    """
    lookup = Lookup(measurements=study.measurements, plan=plan)
    candidates = Candidates.of_study(study, on_status)
    timed: list[str] = []
    seen: set[str] = set()
    for start in range(0, len(designs), max_interleaved):
        group = designs[start : start + max_interleaved]
        fraction = start / len(designs)
        on_status(Event(kind=Kind.TIMING, designs=len(group), fraction=fraction))
        built = [candidates.build(plan.space, design) for design in group]
        known = [candidate for candidate in built if _with_shapes(candidate, study.weights)]
        fresh: dict[str, Candidate] = {}
        for candidate in known:
            if candidate.deployed_id not in seen:
                fresh.setdefault(candidate.deployed_id, candidate)
        for name in names:
            shared = lookup.timed(name)
            read = list(fresh.values()) if shared else known
            metric, on_lock_wait = plan.metrics[name], candidates.on_lock_wait
            for candidate, reading in read_metrics(name, metric, read, on_lock_wait):
                lookup.add(name, candidate, reading)
            for candidate in known if shared else ():
                if fresh.get(candidate.deployed_id) is not candidate:
                    lookup.share(name, candidate)
        seen |= fresh.keys()
        timed += [candidate.design.id for candidate in known]
    return timed


def flagged_designs(front: Front, device: str) -> list[Entry]:
    """List the Pareto-relevant designs with a flagged value that can be measured again.

    Pareto-relevant are the designs that are or may be on the front, those that could dominate
    another design, and the baseline.

    Args:
        front: The front.
        device: Fingerprint of the device on which the designs can be measured.

    Returns:
        The designs; those on the front first, then the baseline.
    """
    baseline = () if front.baseline_entry is None else (front.baseline_entry,)
    relevant = (*front.on_front, *baseline, *front.possible, *front.contenders)
    unique = {entry.id: entry for entry in relevant}
    return [entry for entry in unique.values() if entry.device == device and _flagged(front, entry)]


def metrics_to_time(front: Front, entries: Iterable[Entry]) -> list[str]:
    """List the metrics to measure again: objectives, and metrics with flagged values.

    Args:
        front: The front.
        entries: Designs of the front.

    Returns:
        Names of metrics that are refined by re-measuring.
    """
    flagged = {name for entry in entries for name in _flagged(front, entry)}
    names = front.refined_by("re-measure")
    return [name for name in names if name in front.objectives or name in flagged]


def _flagged(front: Front, entry: Entry) -> list[str]:
    names = [name for name in front.refined_by("re-measure") if name in entry.metrics]
    return [name for name in names if entry.metrics[name].flagged]


def network_of(entry: Entry) -> str:
    """Return the id of the deployed network of a design, or of the design if it has none.

    Args:
        entry: Entry of the design.
    """
    return entry.deployed or entry.id


def one_per_network(entries: Iterable[Entry]) -> list[Entry]:
    """Return one design for each deployed network.

    Args:
        entries: Entries of designs.

    Returns:
        The first entry of each deployed network.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(network_of(entry), entry)
    return list(found.values())


def _with_shapes(candidate: Candidate, weights: Weights) -> bool:
    """Restore learned shapes if there are any; return whether they are known."""
    if not candidate.design.learned:
        return True
    state = weights.load(candidate.design.id)
    if state is None:
        return False
    try:
        candidate.restore(state)
    except WorkFailed:
        # The weights are of an earlier version of the network.
        return False
    return True
