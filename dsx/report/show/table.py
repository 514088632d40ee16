"""Print one design of a study as tables, JSON or CSV."""

import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping

from dsx.analysis import Estimate
from dsx.report.front.roles import status
from dsx.report.show.rows import (
    Row,
    ShownDesign,
    headline,
    measurement_rows,
    metric_rows,
    roles,
    separated,
    slot_rows,
    slots_note,
)
from dsx.report.text.console import console, transliterate
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import annotated, counted_unit, flag_notes, human, relative, title

SCHEMA_VERSION = 1
_CONDITIONS = "device", "versions", "backend", "batch", "dtype", "threads", "deploy"


def print_design(shown: ShownDesign, format: str) -> None:
    """Print a design to stdout.

    Args:
        shown: The design.
        format: "table", "json" or "csv" (sections separated by an empty line: metrics,
            measurements, slots).
    """
    front = shown.results.front
    slots = [] if shown.slots is None else slot_rows(shown.slots)
    if format == "json":
        about = {
            "study": front.study,
            "space": front.space,
            "design": headline(shown),
            "baseline": front.baseline,
            "conditions": dict(front.conditions),
            "metrics": metric_rows(shown),
            "measurements": measurement_rows(shown),
            "notes": [slots_note()] * (shown.slots is None),
        }
        print_rows(slots, format, about, "slots")
    elif format == "csv":
        print_rows(metric_rows(shown), format, {}, "metrics")
        sys.stdout.write("\n")
        rows = [
            {**row, "provenance": json.dumps(row["provenance"])} for row in measurement_rows(shown)
        ]
        print_rows(rows, format, {}, "measurements")
        if slots:
            sys.stdout.write("\n")
            print_rows(slots, format, {}, "slots")
    else:
        _print_tables(shown, slots)


def _print_tables(shown: ShownDesign, slots: list[Row]) -> None:
    out = console()
    for line in _heading(shown):
        out.print(line, soft_wrap=True)
    out.print()
    if shown.slots is None:
        out.print(f"note: {slots_note()}", soft_wrap=True)
    else:
        out.print(listing(_grouped(slots), right=("channels", "params", "flops")))
        for line in _slot_notes(slots):
            out.print(line, style="dim", soft_wrap=True)
    out.print()
    ascii_only = out.options.ascii_only
    compared = [_spelled(row, ascii_only) for row in _metrics(shown)]
    out.print(listing(compared, right=("this design", "baseline", "relative", "readings")))
    for line in _metric_notes(shown):
        out.print(line, style="dim", soft_wrap=True)
    out.print()
    taken = [_spelled(row, ascii_only) for row in _measurements(shown)]
    out.print(listing(taken, right=("value", "seed")))
    for line in _provenance(shown):
        out.print(line, style="dim", soft_wrap=True)


def _spelled(row: Mapping[str, object], ascii_only: bool) -> Row:
    return {key: transliterate(str(cell), ascii_only) for key, cell in row.items()}


def _heading(shown: ShownDesign) -> Iterator[str]:
    front, entry = shown.results.front, shown.entry
    place = {"certain": "on the front", "possible": "possibly on the front", "no": "dominated"}
    if entry.missing:
        standing = status(front, entry)
    elif entry.feasible:
        standing = place[front.membership[entry.id]]
    else:
        standing = "violates a constraint"
    what = ", ".join([*roles(shown), standing])
    yield f"{front.study} (space {front.space}): #{entry.trial} ({entry.id}), {what}"
    if entry.fallbacks is not None and entry.redesigned:
        dense = f", {entry.fallbacks} of them deployed in their dense form"
    else:
        dense = ""
    yield f"{entry.redesigned} of {len(entry.spec)} slots redesigned{dense}"


def _grouped(slots: list[Row]) -> list[Row]:
    """Join consecutive slots that only differ in their name."""

    def without_name(row: Row) -> Row:
        return {key: value for key, value in row.items() if key != "slot"}

    shown = []
    for row, group in itertools.groupby(slots, key=without_name):
        names = [str(each["slot"]) for each in group]
        stride = str(row["stride"])
        shown.append(
            {
                "slot": names[0] if len(names) == 1 else f"{names[0]} x{len(names)}",
                "channels": f"{row['in_channels']}->{row['out_channels']}",
                "kernel": str(row["kernel"]) + (f" /{stride[0]}" if stride != "1x1" else ""),
                "spec": row["spec"],
                "params": f"{row['params_share']:.1%}" + "*" * bool(row["expected"]),
                "flops": f"{row['flops_share']:.1%}" + "*" * bool(row["expected"]),
            }
        )
    return shown


def _slot_notes(slots: list[Row]) -> Iterator[str]:
    yield "params and flops: shares of the whole network for each slot, by closed form"
    if len(_grouped(slots)) < len(slots):
        yield "xN: N consecutive slots with equal values, starting with the named slot"
    if any(row["stride"] != "1x1" for row in slots):
        yield "/2: stride 2"
    if any(row["expected"] for row in slots):
        yield "*: expected from the density of the learned shapes"


def _metrics(shown: ShownDesign) -> Iterator[Row]:
    baseline, units = shown.baseline, shown.results.front.units
    for name in shown.metrics:
        unit, own = units.get(name, ""), shown.entry.metrics[name]
        row: Row = {"metric": title(name, unit), "this design": annotated(own, unit)}
        if baseline is not None:
            other = baseline.metrics.get(name)
            row |= {"baseline": "-", "relative": "", "separated": ""}
            if other is not None:
                row["baseline"] = annotated(other, unit)
                if not other.at_chance:
                    row["relative"] = relative(own.value, other.value, unit)
                row["separated"] = "yes" if separated(own, other) else "no"
        yield {**row, "readings": own.readings}


def _metric_notes(shown: ShownDesign) -> Iterator[str]:
    baseline, front = shown.baseline, shown.results.front
    if baseline is not None:
        yield f"relative: to the baseline, #{baseline.trial} ({baseline.id}); pt: points"
        yield "separated: whether the 95 % intervals of the two values are disjoint"
    values = list(shown.entry.metrics.values())
    yield from flag_notes([*values, *(baseline.metrics.values() if baseline else ())])
    kinds = {title(name, unit): counted_unit(name, unit) for name, unit in front.units.items()}
    if units := [f"{name} in {kind}" for name, kind in kinds.items() if kind]:
        yield "; ".join(units)


def _measurements(shown: ShownDesign) -> Iterator[Row]:
    units = shown.results.front.units
    for each in shown.measurements:
        unit = units.get(each.metric, "")
        value = Estimate(
            value=each.value,
            low=each.low,
            high=each.high,
            converged=each.converged,
            noisy=each.noisy,
        )
        used = each.number in shown.entry.metrics[each.metric].rests_on
        yield {
            "metric": title(each.metric, unit),
            "value": annotated(value, unit),
            "used": "yes" if used else "no",
            "measured at (UTC)": f"{each.measured_at:%Y-%m-%d %H:%M}",
            "seed": "-" if each.seed is None else each.seed,
            "protocol": each.protocol[:8] or "-",
        }


def _provenance(shown: ShownDesign) -> Iterator[str]:
    front, entry = shown.results.front, shown.entry
    yield "used: whether the value above rests on the measurement; protocol -: not recorded"
    for name, text in front.conditions.items():
        if name in _CONDITIONS or name == f"device {front.devices.get(entry.device)}":
            yield f"{name}: {text}"
    facts = [each.provenance.deployment for each in shown.measurements]
    deployment = next((each for each in reversed(facts) if each is not None), None)
    if deployment is not None:
        if deployment.forms:
            forms = Counter(deployment.forms.values()).most_common()
            yield "deployed forms: " + ", ".join(f"{count}x {form}" for form, count in forms)
        yield (
            f"batch norms: {deployment.folded_norms} folded, {deployment.unfolded_norms} not folded"
        )
    for name, count in entry.deployed_counts.items():
        yield f"deployed {name}: {human(count, '')}"
