"""The designs one would look at first, a line each: the knee and the best of each objective."""

from dsx.analysis import Entry, Front
from dsx.report.front.view import ratio, short_ids
from dsx.report.text.numbers import human, of_seeds, title


def picks(front: Front) -> str:
    """Name the knee and the best of each objective, with their numbers.

    Args:
        front: A front.

    Returns:
        A line for each different design, the knee first; nothing if no design is feasible, and no
        design that is the best of many at chance.
    """
    if not front.on_front:
        return ""
    reasons: dict[str, list[str]] = {front.knee.id: ["knee"]} if front.has_knee else {}
    for name in front.objectives:
        if name in front.at_chance:
            continue
        wish = f"best {title(name, front.units.get(name, ''))}"
        reasons.setdefault(front.best(name).id, []).append(wish)
    ids = short_ids(front)
    entries = {entry.id: entry for entry in front.on_front}
    return "\n".join(
        f"{', '.join(why)}: #{entries[id_].trial} ({ids[id_]}), {_numbers(front, entries[id_])}"
        for id_, why in reasons.items()
    )


def _numbers(front: Front, entry: Entry) -> str:
    parts = []
    for name in front.objectives:
        unit = front.units.get(name, "")
        value = entry.metrics[name]
        part = f"{title(name, unit)} {human(value.value, unit)}{of_seeds(value)}"
        said = ratio(front, entry, name)
        parts.append(f"{part} ({said})" if said else part)
    for name in front.at_stage("projected"):
        if name in entry.metrics and name not in front.objectives:
            unit = front.units.get(name, "")
            parts.append(f"{title(name, unit)} {human(entry.metrics[name].value, unit)}")
    return ", ".join(parts)
