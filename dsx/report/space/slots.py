"""The slots and excluded convolutions of a network, as table, JSON or CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dsx.report.text.console import console
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import human
from dsx.space import NetworkAnalysis, Slot

_COUNTS = ("params", "flops")
_COMPACTED = ("channels", "output")


def print_analysis(
    model: str, analysis: NetworkAnalysis, format: str, notes: Sequence[str] = ()
) -> None:
    """Print the slots of a network to stdout.

    Args:
        model: Name of the network.
        analysis: Analysis of the network.
        format: "table", "json" or "csv".
        notes: Notes for the user about the network, as sentences.
    """
    rows = [slot_row(slot) for slot in analysis.slots]
    about = {
        "model": model,
        "input": list(analysis.input_shape),
        "output": list(analysis.output_shape),
        "cost": asdict(analysis.cost({})),
        "excluded": dict(analysis.excluded),
        "untraced": analysis.untraced,
        "uncounted": dict(analysis.uncounted),
        "notes": list(notes),
    }
    if format != "table":
        print_rows(rows, format, about, "slots")
        return
    shape = " x ".join(map(str, analysis.input_shape))
    console().print(f"{model} on images of {shape}: {len(rows)} slots", soft_wrap=True)
    print_slots(rows, analysis)
    cost = analysis.cost({})
    for name, number, unit in (
        ("params", cost.params, ""), ("flops", cost.flops, ""), ("bits", cost.bits, "bit")
    ):  # fmt: skip
        console().print(f"{name}: {human(number, unit)}")
    for note in notes:
        console().print(f"note: {note}", soft_wrap=True)


def print_slots(rows: Sequence[Mapping[str, object]], analysis: NetworkAnalysis) -> None:
    """Print the slots as a table, followed by the excluded convolutions.

    Args:
        rows: Rows of `slot_row`, which may have further columns.
        analysis: Analysis of the network.
    """
    out = console()
    shown = [_compact(row) for row in rows]
    out.print(listing(shown, right=_COUNTS))
    kernels = " ".join(str(row["kernel"]) for row in shown)
    signs = {"/": "/2: stride 2", "dw": "dw: depthwise, one group for each channel"}
    notes = [meaning for sign, meaning in signs.items() if sign in kernels]
    if notes:
        out.print("; ".join(notes), style="dim", soft_wrap=True)
    for name, reason in analysis.excluded.items():
        out.print(f"excluded: {name} {reason}", soft_wrap=True)
    if analysis.untraced is not None:
        out.print(untraced_note(analysis.untraced), soft_wrap=True)


def untraced_note(reason: str) -> str:
    """Describe the consequences for a network that torch.fx cannot trace.

    Args:
        reason: Reason for which it cannot be traced.

    Returns:
        One line.
    """
    return (
        "note: torch.fx cannot trace the network, so that no batch norm is folded for timing and "
        f"`dsx export` cannot write a model.py ({reason})"
    )


def slot_row(slot: Slot) -> dict[str, object]:
    """Describe a slot as a plain row.

    Args:
        slot: The slot.

    Returns:
        Shape, stride, groups and cost of its convolution.
    """
    cost = slot.cost()
    return {
        "slot": slot.name,
        "channels": f"{slot.in_channels} -> {slot.out_channels}",
        "kernel": _by(slot.kernel_size),
        "stride": _by(slot.geometry.stride),
        "groups": slot.groups,
        "output": ", ".join(_by(out_hw) for out_hw in dict.fromkeys(slot.out_hw)),
        "params": cost.params,
        "flops": cost.flops,
    }


def _compact(row: Mapping[str, object]) -> dict[str, object]:
    """Format a row so that it fits a line of 80 characters."""
    shown: dict[str, object] = {}
    for name, value in row.items():
        if name in _COUNTS:
            assert isinstance(value, int)
            shown[name] = human(value, "")
        elif name in _COMPACTED:
            shown[name] = str(value).replace(" x ", "x").replace(" -> ", "->")
        elif name == "kernel":
            shown[name] = _kernel(row)
        elif name not in ("stride", "groups"):
            shown[name] = value
    return shown


def _kernel(row: Mapping[str, object]) -> str:
    """Format kernel, stride and groups together: "3x3 /2 dw"."""
    parts = [str(row["kernel"]).replace(" x ", "x")]
    rows, _, columns = str(row["stride"]).partition(" x ")
    if (rows, columns) != ("1", "1"):
        parts.append(f"/{rows}" if rows == columns else f"/{rows}x{columns}")
    inputs = str(row["channels"]).partition(" ")[0]
    if row["groups"] != 1:
        depthwise = str(row["groups"]) == inputs
        parts.append("dw" if depthwise else f"{row['groups']} groups")
    return " ".join(parts)


def _by(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"
