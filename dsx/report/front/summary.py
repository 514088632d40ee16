"""A summary of a front: one line about its knee, and the designs to look at first."""

from collections.abc import Iterator

from dsx.analysis import Entry, Front, Membership
from dsx.report.front.view import comparable, has_uncertainty, ranked
from dsx.report.text.numbers import change, title

SHOWN = 6
"""Designs that a summary shows, if the front has as many."""


def tally(front: Front) -> str:
    """Count the designs on the front.

    Args:
        front: Front of a study.

    Returns:
        Such as "5 of 9 designs on the front (3 certain), 1 more possible".
    """
    text = f"{len(front.on_front)} of {len(front.entries)} designs on the front"
    if not has_uncertainty(front):
        return text
    certain = sum(front.membership[entry.id] == Membership.CERTAIN for entry in front.on_front)
    more = f", {len(front.possible)} more possible" if front.possible else ""
    return f"{text} ({certain} certain){more}"


def left_out_notes(front: Front) -> list[str]:
    """Describe how many designs the search left out as unlikely, and whether it was right.

    Args:
        front: Front of a study.

    Returns:
        A line, if any design was left out or measured as a check.
    """
    left_out, checked = front.outcomes.left_out, set(front.outcomes.checked)
    if not left_out and not checked:
        return []
    designs = "1 design was" if left_out == 1 else f"{left_out} designs were"
    note = f"{designs} not measured completely, because the models expect others to dominate"
    if not checked:
        return [f"{note} {'it' if left_out == 1 else 'them'}"]
    missed = sum(entry.trial in checked for entry in front.on_front)
    times = "1 more was" if len(checked) == 1 else f"{len(checked)} more were"
    found = f"{missed} of these {'is' if missed == 1 else 'are'} on the front"
    return [f"{note} them; {times} measured at the end as a check: {found}"]


def claim_notes(front: Front) -> list[str]:
    """Describe to what the comparisons of designs by trained metrics refer.

    Args:
        front: Front of a study.

    Returns:
        A line for each objective that a training measures.
    """
    notes = []
    for name, objective in zip(front.objectives, front.compared, strict=True):
        kind = front.kinds.get(name)
        if kind is None or kind.refinement != "retrain" or len(front.feasible) < 2:
            continue
        if not objective.paired.any():
            claim = "independently, since no results per example are stored"
        elif objective.noise is None:
            claim = "in pairs for these weights, the first training of each design"
        else:
            claim = "in pairs for the designs, with the differences between their trainings"
        notes.append(f"{title(name, front.units.get(name, ''))} is compared {claim}")
    return notes


def headline(front: Front) -> str:
    """Summarise a study in one line: what the knee of the front gains over the baseline.

    Args:
        front: Front of the study.

    Returns:
        Such as "knee #63 against the baseline: latency 26 % lower, accuracy -0.6 points
        (undecided), bits 1.5 % of the baseline's".
    """
    if not front.on_front:
        return front.empty_reason
    if not front.has_knee:
        names = ", ".join(title(name, front.units.get(name, "")) for name in front.at_chance)
        return f"no design on the front is better than chance in {names}"
    if front.knee.id == front.baseline:
        return f"the baseline #{front.knee.trial} is the knee of the front"
    changes = list(_changes(front, front.knee))
    if not changes:
        return f"knee #{front.knee.trial}"
    return f"knee #{front.knee.trial} against the baseline: {', '.join(changes)}"


def _changes(front: Front, entry: Entry) -> Iterator[str]:
    for name in front.objectives:
        unit = front.units.get(name, "")
        pair = comparable(front, entry, name)
        if pair is None:
            continue
        assert front.baseline_entry is not None, "comparable values"
        decided = front.is_decided(entry, front.baseline_entry, name)
        if text := change(*pair, unit, decided):
            yield f"{title(name, unit)} {text}"


def highlights(front: Front) -> dict[str, list[str]]:
    """Find the designs to look at first.

    Args:
        front: Front of a study.

    Returns:
        Design id to what it is: the baseline, the knee, and the best in each objective that is
        not at chance.
    """
    found: dict[str, list[str]] = {}
    if front.baseline_entry is not None:
        found[front.baseline] = ["baseline"]
    if front.has_knee:
        found.setdefault(front.knee.id, []).append("knee")
    for name in front.objectives if front.on_front else ():
        if name not in front.at_chance:
            best = f"best {title(name, front.units.get(name, ''))}"
            found.setdefault(front.best(name).id, []).append(best)
    return found


def summarised(front: Front) -> list[Entry]:
    """List the designs of a summary: the highlights, and others of the front up to `SHOWN`.

    Args:
        front: Front of a study.

    Returns:
        The highlights in their order, then designs evenly spaced along the first objective.
    """
    entries = {entry.id: entry for entry in front.entries}
    shown = [entries[id_] for id_ in highlights(front)]
    rest = [entry for entry in ranked(front) if entry not in shown]
    count = min(max(SHOWN - len(shown), 0), len(rest))
    return [*shown, *(rest[(2 * i + 1) * len(rest) // (2 * count)] for i in range(count))]
