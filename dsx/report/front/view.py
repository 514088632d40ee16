"""What every view of a front asks of it: which metrics, in what order, and what each design is."""

import math
from collections.abc import Collection
from typing import Literal

from dsx.analysis import Entry, Estimate, Front
from dsx.errors import DsxError, unknown
from dsx.report.text.console import HOLLOW, MARKS
from dsx.report.text.numbers import heading, relative

Role = Literal["knee", "front", "unsure", "baseline", "possible", "dominated", "infeasible"]
"""What a design is in its front; "unsure" is on it and "perhaps" is off it, both but perhaps."""

TRIAL = "trial"
"""The trial number, where a metric is asked for."""

COLOURS: dict[Role, str] = {
    "infeasible": "#bdbdbd",
    "dominated": "#a6a6a6",
    "possible": "#cc79a7",
    "unsure": "#0072b2",
    "front": "#0072b2",
    "baseline": "#d55e00",
    "knee": "#e69f00",
}
"""Colours of Okabe and Ito, which are told apart with any colour vision, on grey."""

_FAR = 50.0
_SHORTEST_ID = 6
_MOST_PERHAPS = 10
"""So many designs that are perhaps on the front stand in a table, the likeliest."""


def metrics(front: Front) -> list[str]:
    """List what was measured: the objectives in their order, then the rest.

    Args:
        front: A front.

    Returns:
        Names of metrics that at least one design has.
    """
    found = {name for entry in front.entries for name in entry.metrics}
    # Those before a training say most, and what is counted more than what is timed.
    known = [name for stage in ("projected", "static") for name in front.at_stage(stage)]
    order = dict.fromkeys([*front.objectives, *known, *sorted(found)])
    return [name for name in order if name in found or name in front.objectives]


def ranked(front: Front) -> list[Entry]:
    """List the front, the best in the first objective first.

    Args:
        front: A front.

    Returns:
        Its designs; of equally good ones the better in the next objective first.
    """
    signs = {name: 1 if way == "minimize" else -1 for name, way in front.objectives.items()}

    def rank(entry: Entry) -> tuple[tuple[float, ...], str]:
        return tuple(s * entry.metrics[name].value for name, s in signs.items()), entry.id

    return sorted(front.on_front, key=rank)


def listed(front: Front) -> list[Entry]:
    """List the rows of a table.

    Args:
        front: A front.

    Returns:
        The front as `ranked`, some designs that are perhaps on it, the baseline wherever it stands.
    """
    some = [*ranked(front), *front.possible[:_MOST_PERHAPS]]
    first = [entry for entry in some if entry.id != front.baseline]
    last = front.baseline_entry
    return first if last is None else [*first, last]


def unlisted(front: Front) -> int:
    """Count the designs that are perhaps on the front and find no room in a table."""
    return len({entry.id for entry in front.possible} - {entry.id for entry in listed(front)})


def uncertain(front: Front) -> bool:
    """Whether any objective of a feasible design has an interval, so that certainty is a matter."""
    return any(
        not entry.metrics[name].exact
        for entry in front.entries
        if entry.feasible
        for name in front.objectives
    )


def tally(front: Front) -> str:
    """Count the front: "5 of 9 designs on the front (3 for certain), 1 more perhaps"."""
    said = f"{len(front.on_front)} of {len(front.entries)} designs on the front"
    if not uncertain(front):
        return said
    sure = sum(front.membership[entry.id] == "certain" for entry in front.on_front)
    more = f", {len(front.possible)} more perhaps" if front.possible else ""
    return f"{said} ({sure} for certain){more}"


def ratio(front: Front, entry: Entry, name: str) -> str:
    """Compare a design's metric with the baseline's.

    Args:
        front: A front.
        entry: One of its designs.
        name: A metric.

    Returns:
        Such as "63%" or "+0.4 pt"; nothing for the baseline itself, where either is missing, and
        where the baseline is at chance.
    """
    baseline = front.baseline_entry
    if baseline is None or entry.id == baseline.id:
        return ""
    if name not in entry.metrics or name not in baseline.metrics:
        return ""
    if baseline.metrics[name].at_chance:
        return ""
    here, there = entry.metrics[name].value, baseline.metrics[name].value
    return relative(here, there, front.units.get(name, ""))


def dense(entry: Entry) -> str:
    """Say how many of the redesigned slots fell back to their dense form: "1/4", or "-"."""
    if entry.fallbacks is None or not entry.redesigned:
        return "-"
    return f"{entry.fallbacks}/{entry.redesigned}"


def role(front: Front, entry: Entry) -> Role:
    """Say what a design is in its front; a baseline that is the knee counts as the knee.

    Args:
        front: A front.
        entry: One of its designs.

    Returns:
        The role that a mark in a plot stands for.
    """
    if front.has_knee and entry.id == front.knee.id:
        return "knee"
    if entry.id == front.baseline:
        return "baseline"
    sure = front.membership[entry.id] == "certain"
    if entry.id in front.front_ids:
        return "front" if sure else "unsure"
    if front.membership[entry.id] == "possible":
        return "possible"
    return "dominated" if entry.feasible else "infeasible"


def hollow(front: Front, kind: Role) -> bool:
    """Say whether the mark of a role is hollow: its designs are but perhaps on the front.

    Args:
        front: A front.
        kind: A role.

    Returns:
        True or false; of the knee and the baseline, what holds for that design.
    """
    if kind == "knee":
        return front.has_knee and front.membership[front.knee.id] == "possible"
    if kind == "baseline":
        return front.membership.get(front.baseline) == "possible"
    return kind in ("unsure", "possible")


def called(front: Front, kind: Role) -> str:
    """Name a role in a legend: "knee, the baseline" if they are one.

    Args:
        front: A front.
        kind: A role.

    Returns:
        One or a few words; hollow marks are perhaps something.
    """
    if kind == "possible":
        return "dominated, perhaps not"
    one = kind == "knee" and front.has_knee and front.knee.id == front.baseline
    said = "knee, the baseline" if one else "front" if kind == "unsure" else kind
    return f"{said}, perhaps" if hollow(front, kind) else said


def mark(front: Front, kind: Role) -> str:
    """Give the mark of a role, for a plot or a table of characters."""
    sign = MARKS[kind]
    return HOLLOW.get(sign, sign) if hollow(front, kind) else sign


def standing(front: Front, entry: Entry) -> str:
    """Say in words where a design stands, whatever else it is.

    Args:
        front: A front.
        entry: One of its designs.

    Returns:
        Such as "on the front", "dominated, perhaps not" or "infeasible".
    """
    perhaps = front.membership[entry.id] == "possible"
    if entry.id in front.front_ids:
        return "perhaps on the front" if perhaps else "on the front"
    if not entry.feasible:
        return "infeasible"
    return "dominated, perhaps not" if perhaps else "dominated"


def short_ids(front: Front) -> dict[str, str]:
    """Shorten the design ids as far as they stay different.

    Args:
        front: A front.

    Returns:
        Design id to its first 6 or more characters.
    """
    ids = [entry.id for entry in front.entries]
    length = _SHORTEST_ID
    while len({name[:length] for name in ids}) < len(ids):
        length += 1
    return {name: name[:length] for name in ids}


def axes(front: Front, x: str | None = None, y: str | None = None) -> tuple[str, str]:
    """Choose what to plot against what.

    Args:
        front: A front.
        x: A metric or `trial`; None for the first minimised objective.
        y: A metric or `trial`; None for the first maximised objective, or else the next one.

    Returns:
        Two names. A front with a single objective is plotted over its trials.

    Raises:
        DsxError: If there is no such metric.
    """
    allowed = [*metrics(front), TRIAL]
    for name in (x, y):
        if name is not None and name not in allowed:
            raise DsxError(unknown("metric", name, allowed))
    small = [name for name, way in front.objectives.items() if way == "minimize"]
    large = [name for name, way in front.objectives.items() if way == "maximize"]
    if len(front.objectives) == 1:
        (only,) = front.objectives
        return x or TRIAL, y or only
    x = x or next(name for name in [*small, *large] if name != y)
    return x, y or next(name for name in [*large, *small] if name != x)


def number(entry: Entry, name: str) -> Estimate | None:
    """Look up what a plot shows of a design.

    Args:
        entry: A design.
        name: A metric or `trial`.

    Returns:
        The number, or None where it was not measured or is infinite.
    """
    if name == TRIAL:
        return Estimate(value=entry.trial, low=entry.trial, high=entry.trial)
    found = entry.metrics.get(name)
    return found if found is not None and math.isfinite(found.value) else None


def logarithmic(front: Front, name: str) -> bool:
    """Whether a metric lies so far apart that only a logarithmic axis shows all of it.

    Args:
        front: A front.
        name: A metric or `trial`.

    Returns:
        True where all values are positive and the largest is many times the smallest.
    """
    values = [value.value for entry in front.entries if (value := number(entry, name))]
    return name != TRIAL and far_apart(values)


def far_apart(values: Collection[float]) -> bool:
    """Whether numbers are all positive, and the largest is many times the smallest."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _FAR


def described(front: Front, name: str) -> str:
    """Name an axis, its unit and which way is better.

    Args:
        front: A front.
        name: A metric or `trial`.

    Returns:
        Such as "latency (ms), lower is better"; for what is no objective without a direction.
    """
    said = heading(name, front.units.get(name, ""))
    ways = {"minimize": "lower is better", "maximize": "higher is better"}
    return f"{said}, {ways[front.objectives[name]]}" if name in front.objectives else said
