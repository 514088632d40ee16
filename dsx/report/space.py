"""Print what a search space holds."""

from collections.abc import Mapping
from dataclasses import asdict

from dsx.report.console import console
from dsx.report.human import human
from dsx.report.listing import listing, print_rows
from dsx.report.offers import left_out, offers
from dsx.space import Census, SearchSpace, Slot


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
    _print_slots(rows, space.census)
    for offer in offers(space):
        out.print(offer.text(out.width), soft_wrap=True)
    _print_costs(space)
    for name, bound in space.source.content.get("constraints", {}).items():
        verdict = unmet.get(name, "can be met" if name in _COUNTED else "known once measured")
        out.print(f"constraint {name} {bound}: {verdict}", soft_wrap=True)
    if space.missing is not None:
        out.print(
            f"not there yet: the weights {space.missing}; a search needs them", soft_wrap=True
        )
    for slots, label, reason in left_out(space):
        out.print(f"left out for {slots}: {label} ({reason})", soft_wrap=True)


_COUNTS = ("params", "flops")
_COUNTED = ("params", "flops", "bits")


def print_census(model: str, census: Census, format: str) -> None:
    """Print the slots of a network to stdout.

    Args:
        model: Its name.
        census: What it is made of.
        format: "table", "json" or "csv".
    """
    rows = [_slot_row(slot) for slot in census.slots]
    about = {
        "model": model,
        "input": list(census.input_shape),
        "output": list(census.output_shape),
        "cost": asdict(census.cost({})),
        "left_alone": dict(census.left_alone),
    }
    if format != "table":
        print_rows(rows, format, about, "slots")
        return
    shape = " x ".join(map(str, census.input_shape))
    console().print(f"{model} on images of {shape}: {len(rows)} slots", soft_wrap=True)
    _print_slots(rows, census)
    cost = census.cost({})
    for name, number, unit in (
        ("params", cost.params, ""), ("flops", cost.flops, ""), ("bits", cost.bits, "bit")
    ):  # fmt: skip
        console().print(f"{name}: {human(number, unit)}")


def _print_slots(rows: list[dict[str, object]], census: Census) -> None:
    out = console()
    out.print(listing(_shown(rows), right=_COUNTS))
    for name, reason in census.left_alone.items():
        out.print(f"left alone: {name} {reason}", soft_wrap=True)


def _slot_row(slot: Slot) -> dict[str, object]:
    cost = slot.cost()
    return {
        "slot": slot.name,
        "channels": f"{slot.in_channels} -> {slot.out_channels}",
        "kernel": _by(slot.kernel_size),
        "stride": _by(slot.geometry.stride),
        "groups": slot.groups,
        "output": _outputs(slot),
        "params": cost.params,
        "flops": cost.flops,
    }


def slot_rows(space: SearchSpace) -> list[dict[str, object]]:
    """Write the slots of a space as plain rows."""
    offered = {slot.name: choices for choices in space.choices for slot in choices.slots}
    rows = []
    for slot in space.census.slots:
        choices = offered.get(slot.name)
        own = {
            "choices": len(choices.settings()) if choices else 1,
            "dials": choices.name if choices and choices.name != slot.name else "",
        }
        rows.append(_slot_row(slot) | own)
    if not any(row["dials"] for row in rows):
        for row in rows:
            del row["dials"]
    return rows


def _shown(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Write the rows closely, and without groups where there are none: a line has 80 characters."""
    grouped = any(row["groups"] != 1 for row in rows)
    return [
        {
            name: _closely(name, value, row)
            for name, value in row.items()
            if grouped or name != "groups"
        }
        for row in rows
    ]


def _closely(name: str, value: object, row: Mapping[str, object]) -> object:
    if name == "groups":
        return _groups(row)
    if name in _COUNTS:
        assert isinstance(value, int)
        return human(value, "")
    if isinstance(value, str) and name != "slot":
        rows, by, columns = value.partition(" x ")
        close = value.replace(" x ", "x").replace(" -> ", "->")
        return rows if by and name == "stride" and rows == columns else close
    return value


def _groups(row: Mapping[str, object]) -> str:
    inputs = str(row["channels"]).partition(" ")[0]
    depthwise = row["groups"] != 1 and str(row["groups"]) == inputs
    return "depthwise" if depthwise else str(row["groups"])


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
        "missing": space.missing,
        "left_alone": dict(space.census.left_alone),
        "left_out": {choices.name: dict(choices.left_out) for choices in space.choices},
    }
