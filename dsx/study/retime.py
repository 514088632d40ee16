"""Retime: time designs of a study once more, in turn; the new readings join the old ones."""

from collections.abc import Callable, Iterable, Sequence

from dsx.errors import WorkFailed
from dsx.measure import Candidate
from dsx.measure.side_by_side import read_latencies
from dsx.space import Design
from dsx.study.evaluate import WAITING
from dsx.study.front import Entry, Front
from dsx.study.memory import KnownForms, Memory
from dsx.study.plan import Plan
from dsx.study.recall import Recall
from dsx.study.references import References
from dsx.study.weights import Weights

LATENCY = "latency_ms"
IN_TURN = 8
"""Designs that are timed in turn at once; more of them would hold too much memory."""


def retime(
    designs: Sequence[Design],
    plan: Plan,
    memory: Memory,
    weights: Weights,
    doing: Callable[[str], None],
) -> list[str]:
    """Time designs again.

    Args:
        designs: Of the study.
        plan: Of the study.
        memory: Of this device, in the study's database.
        weights: Of the study; a design with learned shapes whose weights it does not keep is left
            out, since its shapes are not known any more.
        doing: Told in a few words what is done.

    Returns:
        The ids of those that have a new reading. Of designs with the same deployed network one is
        timed, and its reading counts for all of them.
    """
    recall = Recall(memory=memory, plan=plan)
    forms = KnownForms(memory.engine, memory.device, memory)
    references = References(memory.engine, memory.device, memory)
    timed: list[str] = []
    seen: set[str] = set()
    for start in range(0, len(designs), IN_TURN):
        group = designs[start : start + IN_TURN]
        doing("timing a design" if len(group) == 1 else f"timing {len(group)} designs in turn")
        built = [Candidate(plan.space, design, forms, references) for design in group]
        known = [candidate for candidate in built if _with_shapes(candidate, weights)]
        fresh: dict[str, Candidate] = {}
        for candidate in known:
            if candidate.deployed_id not in seen:
                fresh.setdefault(candidate.deployed_id, candidate)
        readings = read_latencies(list(fresh.values()), lambda: doing(WAITING))
        for candidate, reading in zip(fresh.values(), readings, strict=True):
            recall.add(LATENCY, candidate, reading)
        seen |= fresh.keys()
        for candidate in known:
            if fresh.get(candidate.deployed_id) is not candidate:
                recall.share(LATENCY, candidate)
            timed.append(candidate.design.id)
    return timed


def marked(front: Front, device: str) -> list[Entry]:
    """List the designs whose latency matters and comes from bad conditions.

    What may be on the front matters, what keeps another design from being certain, and the
    baseline, which all designs are compared with.

    Args:
        front: The front.
        device: Fingerprint of the device that they can be timed on.

    Returns:
        Those whose latency was taken on a busy machine, or has a wider interval than was asked
        for; on the front first, then the baseline.
    """
    baseline = () if front.baseline_entry is None else (front.baseline_entry,)
    some = (*front.on_front, *baseline, *front.perhaps, *front.doubters)
    matter = {entry.id: entry for entry in some}
    return [
        entry
        for entry in matter.values()
        if entry.device == device and LATENCY in entry.metrics and entry.metrics[LATENCY].flagged
    ]


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
