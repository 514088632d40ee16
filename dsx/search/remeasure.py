"""Retime: time designs of a study once more; the new readings join the old ones."""

from collections.abc import Iterable, Sequence

from dsx.activity import Event, Kind, OnStatus
from dsx.analysis import Entry, Front
from dsx.errors import WorkFailed
from dsx.measure import Candidate
from dsx.search.candidates import Candidates
from dsx.search.evaluator import read_metrics
from dsx.search.lookup import Recall
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.studies import Study
from dsx.store.weights import Weights

IN_TURN = 8
"""Designs that are timed in turn at once; more of them would hold too much memory."""


def remeasure(
    designs: Sequence[Design],
    names: Sequence[str],
    plan: Plan,
    study: Study,
    on_status: OnStatus,
    in_turn: int = IN_TURN,
) -> list[str]:
    """Measure timed metrics of designs again.

    Args:
        designs: Designs of the study.
        names: Names of the metrics to measure.
        plan: Metrics of the study and their protocols.
        study: The study. A design with learned shapes is skipped if the study does not keep its
            weights, because its shapes are then unknown.
        on_status: Called with an event before each group of designs.
        in_turn: Largest number of designs that are timed interleaved.

    Returns:
        The ids of the designs that have a new reading. Of several designs with the same deployed
        network one is timed, and its reading counts for all of them.
    """
    recall = Recall(measurements=study.measurements, plan=plan)
    candidates = Candidates.of_study(study, on_status)
    timed: list[str] = []
    seen: set[str] = set()
    for start in range(0, len(designs), in_turn):
        group = designs[start : start + in_turn]
        fraction = start / len(designs)
        on_status(Event(kind=Kind.TIMING, designs=len(group), fraction=fraction))
        built = [candidates.build(plan.space, design) for design in group]
        known = [candidate for candidate in built if _with_shapes(candidate, study.weights)]
        fresh: dict[str, Candidate] = {}
        for candidate in known:
            if candidate.deployed_id not in seen:
                fresh.setdefault(candidate.deployed_id, candidate)
        for name in names:
            shared = recall.timed(name)
            read = list(fresh.values()) if shared else known
            metric, on_lock_wait = plan.metrics[name], candidates.on_lock_wait
            for candidate, reading in read_metrics(name, metric, read, on_lock_wait):
                recall.add(name, candidate, reading)
            for candidate in known if shared else ():
                if fresh.get(candidate.deployed_id) is not candidate:
                    recall.share(name, candidate)
        seen |= fresh.keys()
        timed += [candidate.design.id for candidate in known]
    return timed


def flagged_designs(front: Front, device: str) -> list[Entry]:
    """List the designs with a value that matters, was timed, and comes from bad conditions.

    What may be on the front matters, what keeps another design from being certain, and the
    baseline, which all designs are compared with.

    Args:
        front: The front.
        device: Fingerprint of the device that they can be timed on.

    Returns:
        Those with a value that was taken on a busy machine, or has a wider interval than was asked
        for; on the front first, then the baseline.
    """
    baseline = () if front.baseline_entry is None else (front.baseline_entry,)
    some = (*front.on_front, *baseline, *front.possible, *front.contenders)
    matter = {entry.id: entry for entry in some}
    return [entry for entry in matter.values() if entry.device == device and _flagged(front, entry)]


def to_time(front: Front, entries: Iterable[Entry]) -> list[str]:
    """List the metrics that designs are timed for: objectives, and values from bad conditions.

    Args:
        front: The front.
        entries: Designs of it.

    Returns:
        Names of metrics that become more certain when they are measured again.
    """
    rough = {name for entry in entries for name in _flagged(front, entry)}
    names = front.refined_by("re-measure")
    return [name for name in names if name in front.objectives or name in rough]


def _flagged(front: Front, entry: Entry) -> list[str]:
    names = [name for name in front.refined_by("re-measure") if name in entry.metrics]
    return [name for name in names if entry.metrics[name].flagged]


def network_of(entry: Entry) -> str:
    """Return the id of the deployed network of a design, or of the design if it has none."""
    return entry.deployed or entry.id


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """Keep the first of the designs that run as the same deployed network."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(network_of(entry), entry)
    return list(found.values())


def _with_shapes(candidate: Candidate, weights: Weights) -> bool:
    """Take up learned shapes from the weights; say whether that is possible, or not needed."""
    if not candidate.design.learned:
        return True
    state = weights.load(candidate.design.id)
    if state is None:
        return False
    try:
        candidate.restore(state)
    except WorkFailed:
        # Of a network that has changed since.
        return False
    return True
