"""The content of a search space, as table, JSON or CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dsx.data import Contents, counted_classes, named
from dsx.errors import printable
from dsx.lookup import find
from dsx.measure import Metric
from dsx.report.space.options import option_groups, unsupported_options
from dsx.report.space.slots import print_slots, slot_row
from dsx.report.text.console import console
from dsx.report.text.listing import print_rows
from dsx.report.text.numbers import human
from dsx.space import SearchSpace


def print_space(
    space: SearchSpace,
    unmet_constraints: Mapping[str, str],
    format: str,
    notes: Sequence[str] = (),
    contents: Contents | None = None,
) -> None:
    """Print a space to stdout.

    Args:
        space: The space.
        unmet_constraints: Constraints that no design can meet, with the reason.
        format: "table", "json" or "csv".
        notes: Notes for the user about the network and its weights, as sentences.
        contents: Contents of the data, if known.
    """
    rows = slot_rows(space)
    if format != "table":
        held = {"contents": None if contents is None else contents.to_json()}
        print_rows(rows, format, _about(space, unmet_constraints, notes) | held, "slots")
        return
    out = console()
    file = space.file
    out.print(
        f"{space.name}: {file.model} on {file.data}, {_number(space.size)} designs", soft_wrap=True
    )
    print_slots(rows, space.analysis)
    for group in option_groups(space):
        out.print(*group.text(out.width).split("\n"), sep="\n", soft_wrap=True)
    _print_costs(space)
    if contents is not None:
        _print_contents(contents)
    for name, bound in space.source.content.get("constraints", {}).items():
        known = find(Metric, name).closed_form is not None
        verdict = unmet_constraints.get(name, "can be met" if known else "known after measuring")
        out.print(f"constraint {name} {bound}: {verdict}", soft_wrap=True)
    if space.missing is not None:
        out.print(f"missing: weights {space.missing}, which a search requires", soft_wrap=True)
    for note in notes:
        out.print(f"note: {note}", soft_wrap=True)
    for slots, label, reason in unsupported_options(space):
        out.print(f"not supported for {slots}: {label} ({reason})", soft_wrap=True)


def slot_rows(space: SearchSpace) -> list[dict[str, object]]:
    """Describe the slots of a space as plain rows.

    Args:
        space: The space.

    Returns:
        A row for each slot: shape, cost, number of settings and the group of its setting.
    """
    by_slot = {slot.name: choices for choices in space.slot_options for slot in choices.slots}
    rows = []
    for slot in space.analysis.slots:
        choices = by_slot.get(slot.name)
        own = {
            "choices": len(choices.settings()) if choices else 1,
            "dials": choices.name if choices and choices.name != slot.name else "",
        }
        rows.append(slot_row(slot) | own)
    if not any(row["dials"] for row in rows):
        for row in rows:
            del row["dials"]
    return rows


def _print_costs(space: SearchSpace) -> None:
    least, most = space.cost_range()
    baseline = space.cost(space.baseline).numbers
    for name, low in least.numbers.items():
        high, unit = most.numbers[name], find(Metric, name).unit
        console().print(
            f"{name}: baseline {human(baseline[name], unit)}, designs from {human(low, unit)} "
            f"({low / baseline[name]:.1%}) to {human(high, unit)} ({high / baseline[name]:.1%})",
            soft_wrap=True,
        )
    if most.expected:
        note = "(expected for learned shapes: counted at their target density)"
        console().print(note, soft_wrap=True)


def _print_contents(contents: Contents) -> None:
    out = console()
    out.print(f"data: {counted_classes(len(contents.classes), contents.classes)}", soft_wrap=True)
    for part, split in contents.splits.items():
        images = "image" if split.images == 1 else "images"
        names = zip(contents.classes, split.images_per_class, strict=True)
        missing = [name for name, count in names if not count]
        none = f", none of {named(missing)}" if missing else ""
        out.print(
            f"  {part}: {split.images:,} {images}{none} ({printable(split.source)})", soft_wrap=True
        )


def _about(
    space: SearchSpace, unmet_constraints: Mapping[str, str], notes: Sequence[str]
) -> dict[str, object]:
    least, most = space.cost_range()
    return {
        "space": space.name,
        "model": space.file.model,
        "data": space.file.data,
        "size": space.size,
        "cost": {
            "baseline": asdict(space.cost(space.baseline)),
            "least": asdict(least),
            "most": asdict(most),
        },
        "options": [group.to_json() for group in option_groups(space)],
        "unmet": dict(unmet_constraints),
        "missing": space.missing,
        "weights": None if space.loaded_weights is None else asdict(space.loaded_weights),
        "notes": list(notes),
        "excluded": dict(space.analysis.excluded),
        "untraced": space.analysis.untraced,
        "uncounted": dict(space.analysis.uncounted),
        "unsupported": {choices.name: dict(choices.left_out) for choices in space.slot_options},
    }


def _number(designs: int) -> str:
    """Format a number of designs, rounded if it is large."""
    return f"{designs:,}" if designs < 10**9 else f"about {designs:.1e}".replace("e+", "e")
