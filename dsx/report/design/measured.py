"""Print what is known of one design, beside the baseline."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dsx.analysis import Value
from dsx.report.text.console import console, spelled
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import DOUBTS, counted, relative, title, told
from dsx.search.design import Measured, Number
from dsx.space import Design, SearchSpace
from dsx.store.studies import unfolded_words

Row = dict[str, object]


def print_measured(
    space: SearchSpace,
    design: Design,
    found: Measured,
    format: str,
    about: Mapping[str, object],
) -> None:
    """Print the metrics of a design to stdout.

    Args:
        space: Whose network it is of.
        design: The design.
        found: Its numbers, and the baseline's.
        format: "table", "json" or "csv".
        about: What a JSON document says beside that.
    """
    rows = [_row(name, found) for name in found.metrics]
    if format != "table":
        more = {**about, **about_design(space, design), "absent": dict(found.absent)}
        print_rows(rows, format, more, "metrics")
        return
    out = console()
    ascii_only = out.options.ascii_only
    out.print(heading(space, design), soft_wrap=True)
    news = _without_repeats(found)
    shown = [_shown(row, found, ascii_only) for row in rows if row["metric"] in news.metrics]
    out.print(listing(shown, right=("this design", "baseline", "ratio")))
    for line in _notes(news):
        out.print(line, style="dim", soft_wrap=True)
    out.print(conditions(space), style="dim", soft_wrap=True)


def heading(space: SearchSpace, design: Design) -> str:
    """Name a design: "digits: the baseline (4c1d30ab9e21)"."""
    words = design.words(space.census) if design.changed else "the baseline"
    return f"{space.name}: {words} ({design.id})"


def about_design(space: SearchSpace, design: Design) -> dict[str, object]:
    """Describe a design, and how it is measured, as plain JSON values."""
    return {
        "space": space.name,
        "design": design.id,
        "baseline": space.baseline.id,
        "words": design.words(space.census),
        "spec": design.spec_json(),
        "measure": space.file.measure.model_dump(),
    }


def conditions(space: SearchSpace) -> str:
    """Say how the network is run while it is measured: "batch 8, float32, 1 thread, eager"."""
    measure = space.file.measure
    threads = f"{measure.threads} thread{'s' if measure.threads > 1 else ''}"
    parts = [f"batch {measure.batch}", measure.dtype, threads, measure.backend, measure.deploy]
    return ", ".join([*parts, measure.device, *["channels last"] * measure.channels_last])


def moment(taken_at: datetime) -> str:
    """Write a time as programs read it."""
    return f"{taken_at:%Y-%m-%dT%H:%M:%SZ}"


def number_row(number: Number, before: str = "") -> Row:
    """Write a number as part of a plain row.

    Args:
        number: The number.
        before: Put before each key.
    """
    value = number.value
    return {
        f"{before}value": _plain(value.value),
        f"{before}low": _plain(value.low),
        f"{before}high": _plain(value.high),
        f"{before}readings": value.readings,
        f"{before}wide": value.wide,
        f"{before}busy": value.busy,
        f"{before}stored": number.stored,
        f"{before}taken_at": moment(number.taken_at),
    }


def _plain(number: float) -> float | int:
    """Write counts without a decimal point."""
    return int(number) if number == int(number) else number


def doubt_notes(values: Sequence[Value]) -> Iterator[str]:
    """Explain the marks that stand behind some numbers."""
    for name, (sign, words) in DOUBTS.items():
        if any(getattr(value, name) for value in values):
            yield f"{sign} {words}"


def _row(name: str, found: Measured) -> Row:
    own = found.design[name]
    row: Row = {"metric": name, "unit": found.metrics[name].unit, **number_row(own)}
    if found.baseline:
        standing = found.baseline[name]
        row |= number_row(standing, "baseline_")
        of = standing.value.value
        row["ratio"] = own.value.value / of if of and not standing.value.at_chance else None
    return row


def _without_repeats(found: Measured) -> Measured:
    """Leave out counts of the deployed network that are those of the design, here as there."""
    metrics = {
        name: metric
        for name, metric in found.metrics.items()
        if not _repeats(name, name.removeprefix("deployed_"), found)
    }
    return dataclasses.replace(found, metrics=metrics)


def _repeats(name: str, designed: str, found: Measured) -> bool:
    if name == designed or designed not in found.metrics:
        return False
    known = [numbers for numbers in (found.design, found.baseline) if numbers]
    return all(numbers[name].value == numbers[designed].value for numbers in known)


def _shown(row: Row, found: Measured, ascii_only: bool) -> Row:
    name = str(row["metric"])
    unit, own = found.metrics[name].unit, found.design[name]
    shown: Row = {"metric": title(name, unit)}
    shown["this design"] = spelled(told(own.value, unit), ascii_only)
    if found.baseline:
        standing = found.baseline[name]
        shown["baseline"] = spelled(told(standing.value, unit), ascii_only)
        if not standing.value.at_chance:
            shown["ratio"] = relative(own.value.value, standing.value.value, unit)
    shown["taken"] = taken(own)
    return shown


def taken(number: Number) -> str:
    """Say when a number was measured, and how often: "now", or "stored 11-24 12:05 x3"."""
    if not number.stored:
        return "now"
    times = f" x{number.value.readings}" if number.value.readings > 1 else ""
    return f"stored {number.taken_at:%m-%d %H:%M}{times}"


def _notes(found: Measured) -> Iterator[str]:
    if found.baseline:
        yield f"of the baseline: {_sources(found.baseline)}"
    everything = [*found.design.values(), *found.baseline.values()]
    yield from doubt_notes([number.value for number in everything])
    if any(number.value.readings > 1 for number in found.design.values()):
        yield "x: the median of so many readings, the newest taken then"
    units = {name: counted(name, metric.unit) for name, metric in found.metrics.items()}
    said = [f"{title(name, unit)} in {unit}" for name, unit in units.items() if unit]
    if said:
        yield "; ".join(said)
    for name, reason in found.absent.items():
        yield f"{name}: {reason}"
    forms = _forms(found)
    if forms:
        yield forms
    yield from norm_notes(number.reading.conditions for number in found.design.values())


def _sources(numbers: Mapping[str, Number]) -> str:
    """Say where numbers are from, together: "params, flops stored; latency measured now"."""
    groups = {
        "stored": [name for name, number in numbers.items() if number.stored],
        "measured now": [name for name, number in numbers.items() if not number.stored],
    }
    parts = [
        f"{'everything' if len(own) == len(numbers) else ', '.join(own)} {how}"
        for how, own in groups.items()
        if own
    ]
    return "; ".join(parts)


def norm_notes(conditions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Describe how many batch norms a deployed network still computes.

    Args:
        conditions: Conditions of its readings; the first that hold such a count are used.
    """
    for known in conditions:
        if known.get("unfolded_norms"):
            yield f"batch norms: {unfolded_words(known['folded_norms'], known['unfolded_norms'])}"
            return


def _forms(found: Measured) -> str:
    """Say which deployed forms the slots have."""
    number = next((n for n in found.design.values() if "forms" in n.reading.conditions), None)
    if number is None or not number.reading.conditions["forms"]:
        return ""
    forms = Counter(number.reading.conditions["forms"].values())
    return "deployed as " + ", ".join(f"{count}x {form}" for form, count in forms.most_common())
