"""Queries that the views of a front share: metrics, their order, comparisons and axes."""

import math
from collections.abc import Collection, Iterable

from dsx.analysis import Entry, Estimate, Front
from dsx.errors import DsxError, unknown
from dsx.report.text.numbers import heading, relative

TRIAL = "trial"
"""Name of the trial number, which can be plotted like a metric."""

_FAR = 50.0
_SHORTEST_ID = 6
_LISTED_POSSIBLE = 10
"""Designs off the front that a page lists because they are possible members."""


def metrics(front: Front) -> list[str]:
    """List the measured metrics: the objectives in their order, then the others.

    Args:
        front: Front of a study.

    Returns:
        Names of the objectives and of all metrics that at least one design has.
    """
    found = {name for entry in front.entries for name in entry.metrics}
    first = [name for stage in ("projected", "static") for name in front.at_stage(stage)]
    order = dict.fromkeys([*front.objectives, *first, *sorted(found)])
    return [name for name in order if name in found or name in front.objectives]


def ranked(front: Front) -> list[Entry]:
    """Sort the front by the first objective, the best first.

    Args:
        front: Front of a study.

    Returns:
        The designs of the front; ties are sorted by the next objective.
    """
    signs = {
        name: 1 if direction == "minimize" else -1 for name, direction in front.objectives.items()
    }

    def rank(entry: Entry) -> tuple[tuple[float, ...], str]:
        return tuple(s * entry.metrics[name].value for name, s in signs.items()), entry.id

    return sorted(front.on_front, key=rank)


def likeliest(entries: Iterable[Entry], front: Front) -> list[Entry]:
    """Sort designs by the probability of being on the front.

    Args:
        entries: Designs to sort.
        front: Front of the study.

    Returns:
        The likeliest first; ties in the order of `ranked`.
    """
    order = {entry.id: place for place, entry in enumerate(ranked(front))}

    def rank(entry: Entry) -> tuple[float, int]:
        return -front.probability[entry.id], order.get(entry.id, len(order))

    return sorted(entries, key=rank)


def listed(front: Front) -> list[Entry]:
    """List the designs of the table of a page.

    Args:
        front: Front of a study.

    Returns:
        The front and the likeliest of the other possible members, the likeliest first, and the
        baseline last.
    """
    some = [*likeliest(front.on_front, front), *front.possible[:_LISTED_POSSIBLE]]
    first = [entry for entry in some if entry.id != front.baseline]
    last = front.baseline_entry
    return first if last is None else [*first, last]


def unlisted(front: Front) -> int:
    """Count the possible members of the front that `listed` leaves out.

    Args:
        front: Front of a study.

    Returns:
        The number of designs.
    """
    return len({entry.id for entry in front.possible} - {entry.id for entry in listed(front)})


def has_uncertainty(front: Front) -> bool:
    """Check whether any objective of a feasible design has a non-empty interval.

    Args:
        front: Front of a study.

    Returns:
        Whether there is one.
    """
    return any(
        not entry.metrics[name].exact
        for entry in front.entries
        if entry.feasible
        for name in front.objectives
    )


def probability(front: Front, entry: Entry) -> str:
    """Return the probability that a design is on the front.

    Args:
        front: Front of a study.
        entry: One of its designs.

    Returns:
        Such as "87 %", "> 99 %" or "< 1 %"; "-" for an infeasible design.
    """
    if not entry.feasible:
        return "-"
    found = front.probability[entry.id]
    if found > 0.99:
        return "> 99 %"
    return "< 1 %" if found < 0.01 else f"{found:.0%}".replace("%", " %")


def comparable(front: Front, entry: Entry, name: str) -> tuple[Estimate, Estimate] | None:
    """Look up the values of a design and of the baseline in a metric.

    Args:
        front: Front of a study.
        entry: One of its designs.
        name: Name of the metric.

    Returns:
        The values of the design and the baseline; None for the baseline itself, if a value is
        missing, and if the baseline is at chance.
    """
    baseline = front.baseline_entry
    if baseline is None or entry.id == baseline.id:
        return None
    if name not in entry.metrics or name not in baseline.metrics:
        return None
    return (
        None if baseline.metrics[name].at_chance else (entry.metrics[name], baseline.metrics[name])
    )


def ratio(front: Front, entry: Entry, name: str) -> str:
    """Compare a metric of a design with that of the baseline.

    Args:
        front: Front of a study.
        entry: One of its designs.
        name: Name of the metric.

    Returns:
        Such as "63%" or "+0.4 pt"; empty if the values are not `comparable`.
    """
    pair = comparable(front, entry, name)
    if pair is None:
        return ""
    return relative(pair[0].value, pair[1].value, front.units.get(name, ""))


def dense(entry: Entry) -> str:
    """Return the fraction of redesigned slots that fell back to a dense form.

    Args:
        entry: A design.

    Returns:
        Such as "1/4"; "-" if no slot is redesigned or the design was not deployed.
    """
    if entry.fallbacks is None or not entry.redesigned:
        return "-"
    return f"{entry.fallbacks}/{entry.redesigned}"


def short_ids(front: Front) -> dict[str, str]:
    """Shorten the design ids to unique prefixes.

    Args:
        front: Front of a study.

    Returns:
        Design id to its first 6 or more characters.
    """
    ids = [entry.id for entry in front.entries]
    length = _SHORTEST_ID
    while len({name[:length] for name in ids}) < len(ids):
        length += 1
    return {name: name[:length] for name in ids}


def axes(front: Front, x: str | None = None, y: str | None = None) -> tuple[str, str]:
    """Select the axes of a plot.

    Args:
        front: Front of a study.
        x: Metric on the horizontal axis, or `trial`; None for the first minimised objective.
        y: Metric on the vertical axis, or `trial`; None for the first maximised objective, or else
            the next one.

    Returns:
        The names of both axes. A single objective is plotted over the trials.

    Raises:
        DsxError: If there is no such metric.
    """
    allowed = [*metrics(front), TRIAL]
    for name in (x, y):
        if name is not None and name not in allowed:
            raise DsxError(unknown("metric", name, allowed))
    small = [name for name, direction in front.objectives.items() if direction == "minimize"]
    large = [name for name, direction in front.objectives.items() if direction == "maximize"]
    if len(front.objectives) == 1:
        (only,) = front.objectives
        return x or TRIAL, y or only
    x = x or next(name for name in [*small, *large] if name != y)
    return x, y or next(name for name in [*large, *small] if name != x)


def number(entry: Entry, name: str) -> Estimate | None:
    """Look up a value of a design for a plot.

    Args:
        entry: A design.
        name: Name of a metric, or `trial`.

    Returns:
        The value; None if it is missing or infinite.
    """
    if name == TRIAL:
        return Estimate(value=entry.trial, low=entry.trial, high=entry.trial)
    found = entry.metrics.get(name)
    return found if found is not None and math.isfinite(found.value) else None


def logarithmic(front: Front, name: str) -> bool:
    """Check whether a metric needs a logarithmic axis.

    Args:
        front: Front of a study.
        name: Name of a metric, or `trial`.

    Returns:
        Whether its values are `far_apart`.
    """
    values = [value.value for entry in front.entries if (value := number(entry, name))]
    return name != TRIAL and far_apart(values)


def far_apart(values: Collection[float]) -> bool:
    """Check whether values are positive and span more than a factor of 50.

    Args:
        values: The values.

    Returns:
        Whether they do.
    """
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _FAR


def axis_title(front: Front, name: str) -> str:
    """Return the title of an axis: the metric, its unit and its direction.

    Args:
        front: Front of a study.
        name: Name of a metric, or `trial`.

    Returns:
        Such as "latency (ms), lower is better"; without a direction if it is not an objective.
    """
    title = heading(name, front.units.get(name, ""))
    if name not in front.objectives:
        return title
    directions = {"minimize": "lower is better", "maximize": "higher is better"}
    return f"{title}, {directions[front.objectives[name]]}"
