"""Print what a search space holds."""

from collections.abc import Mapping
from dataclasses import asdict

from dsx.report.console import console
from dsx.report.human import human
from dsx.report.listing import listing, print_rows
from dsx.report.offers import left_out, offers
from dsx.space import SearchSpace, Slot


def print_space(space: SearchSpace, unmet: Mapping[str, str], format: str) -> None:
    """Print a space to stdout.

    Args:
        space: The space.
        unmet: Constraints that no design can meet, with the reason.
        format: "table", "json" or "csv".
    """
    rows = slot_rows(space)
    if format != "table":
        print_rows(rows, format, _about(space, unmet), "slots")
        return
    out = console()
    file = space.file
    out.print(f"{space.name}: {file.model} on {file.data}, {space.size:,} designs", soft_wrap=True)
    out.print(listing(_shown(rows)))
    for offer in offers(space):
        out.print(offer.text(out.width), soft_wrap=True)
    _print_costs(space)
    for name, bound in space.source.content.get("constraints", {}).items():
        verdict = unmet.get(name, "can be met" if name in _COUNTED else "known once measured")
        out.print(f"constraint {name} {bound}: {verdict}", soft_wrap=True)
    for slots, label, reason in left_out(space):
        out.print(f"left out for {slots}: {label} ({reason})", soft_wrap=True)


_COUNTED = ("params", "flops", "bits")


def slot_rows(space: SearchSpace) -> list[dict[str, object]]:
    """Write the slots of a space as plain rows."""
    offered = {slot.name: choices for choices in space.choices for slot in choices.slots}
    rows = []
    for slot in space.census.slots:
        choices = offered.get(slot.name)
        cost = slot.cost()
        rows.append(
            {
                "slot": slot.name,
                "channels": f"{slot.in_channels} -> {slot.out_channels}",
                "kernel": _by(slot.kernel_size),
                "stride": _by(slot.geometry.stride),
                "groups": slot.groups,
                "output": _outputs(slot),
                "params": cost.params,
                "flops": cost.flops,
                "choices": len(choices.settings()) if choices else 1,
                "dials": choices.name if choices and choices.name != slot.name else "",
            }
        )
    if not any(row["dials"] for row in rows):
        for row in rows:
            del row["dials"]
    return rows


def _shown(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Drop the column of groups where no convolution has any: a line has 80 characters."""
    if any(row["groups"] != 1 for row in rows):
        return rows
    return [{name: row[name] for name in row if name != "groups"} for row in rows]


def _outputs(slot: Slot) -> str:
    return ", ".join(_by(out_hw) for out_hw in dict.fromkeys(slot.out_hw))


def _by(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"


def _print_costs(space: SearchSpace) -> None:
    least, most = space.cost_range()
    standing = asdict(space.cost(space.baseline))
    for name, unit in (("params", ""), ("flops", ""), ("bits", "bit")):
        low, high = asdict(least)[name], asdict(most)[name]
        console().print(
            f"{name}: baseline {human(standing[name], unit)}, designs from {human(low, unit)} "
            f"({low / standing[name]:.1%}) to {human(high, unit)} ({high / standing[name]:.1%})",
            soft_wrap=True,
        )
    if most.expected:
        note = "(expected for learned shapes: counted at their target density)"
        console().print(note, soft_wrap=True)


def _about(space: SearchSpace, unmet: Mapping[str, str]) -> dict[str, object]:
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
        "offers": [offer.to_json() for offer in offers(space)],
        "unmet": dict(unmet),
        "left_out": {choices.name: dict(choices.left_out) for choices in space.choices},
    }
