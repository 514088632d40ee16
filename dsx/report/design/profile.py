"""The time of a design by slot, next to that of the baseline, as table, JSON or CSV."""

from collections.abc import Mapping, Sequence

from dsx.analysis import Measurement, estimate_of
from dsx.measure.profile import PLAIN, Breakdown, Layer
from dsx.report.design.measured import Row, about_design, conditions, heading, norm_notes
from dsx.report.text.console import console, transliterate
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.numbers import human, human_interval, relative
from dsx.space import Design, SearchSpace

REST, WHOLE, UNIT = "outside slots", "total", "ms"
_WIDE = 100
"""Width from which intervals are shown."""


def print_layers(
    space: SearchSpace,
    design: Design,
    found: Sequence[Breakdown],
    format: str,
    about: Mapping[str, object],
) -> None:
    """Print the time by slot to stdout.

    Args:
        space: Search space of the design.
        design: The design.
        found: Breakdown of the design, and of the baseline if that is another design.
        format: "table", "json" or "csv".
        about: Further keys of a JSON document.
    """
    if format != "table":
        whole = {
            name: _whole(breakdown)
            for name, breakdown in zip(("design_pass", "baseline_pass"), found, strict=False)
        }
        more = {**about, **about_design(space, design), **whole}
        print_rows(_rows(found), format, more, "layers")
        return
    out = console()
    out.print(heading(space, design), soft_wrap=True)
    wide = out.width >= _WIDE
    shown = [_shown(found, row, wide) for row in range(len(found[0].layers))]
    shown.append(_sums(found))
    own = [
        {name: transliterate(str(cell), out.options.ascii_only) for name, cell in row.items()}
        for row in shown
    ]
    left = ("slot", "form", "baseline form")
    out.print(listing(own, right=[name for name in own[0] if name not in left]))
    for name, breakdown in zip(("this design", "baseline"), found, strict=False):
        out.print(_note(name, breakdown), style="dim", soft_wrap=True)
    if len(found) > 1 and _all_plain(found):
        out.print(f"all slots of the baseline are deployed as {PLAIN}", style="dim", soft_wrap=True)
    for line in norm_notes(breakdown.deployment for breakdown in found[:1]):
        out.print(line, style="dim", soft_wrap=True)
    out.print(conditions(space), style="dim", soft_wrap=True)


def _rows(found: Sequence[Breakdown]) -> list[Row]:
    rows: list[Row] = []
    for row, layer in enumerate(found[0].layers):
        own: Row = {"slot": _name(layer), "calls": layer.calls, "form": layer.form}
        own |= {**_ends(layer.ms), "share": layer.ms.value / found[0].ms}
        if len(found) > 1:
            baseline = found[1].layers[row]
            own |= {"baseline_form": baseline.form, **_ends(baseline.ms, "baseline_")}
            own["baseline_share"] = baseline.ms.value / found[1].ms
            own["ratio"] = layer.ms.value / baseline.ms.value if baseline.ms.value else None
        rows.append(own)
    return rows


def _ends(span: Measurement, before: str = "") -> Row:
    return {f"{before}ms": span.value, f"{before}low": span.low, f"{before}high": span.high}


def _whole(breakdown: Breakdown) -> Row:
    return {
        "ms": breakdown.ms,
        **{f"plain_{key}": end for key, end in _ends(breakdown.plain).items()},
        **{f"clocked_{key}": end for key, end in _ends(breakdown.clocked).items()},
        "passes": breakdown.passes,
    }


def _name(layer: Layer) -> str:
    """Return the name of a row; the only slot of a network may have an empty name."""
    return REST if layer.slot is None else layer.slot


def _shown(found: Sequence[Breakdown], row: int, wide: bool) -> Row:
    layer = found[0].layers[row]
    times = f" x{layer.calls}" if layer.slot is not None and layer.calls > 1 else ""
    shown: Row = {"slot": _name(layer) + times, "form": layer.form}
    shown["ms"] = _time(layer.ms, wide)
    shown["share"] = f"{layer.ms.value / found[0].ms:.1%}"
    if len(found) > 1:
        baseline = found[1].layers[row]
        if not _all_plain(found):
            shown["baseline form"] = baseline.form
        shown["baseline"] = _time(baseline.ms, wide)
        shown["ratio"] = relative(layer.ms.value, baseline.ms.value, UNIT)
    return shown


def _sums(found: Sequence[Breakdown]) -> Row:
    shown: Row = {"slot": WHOLE, "form": "", "ms": _bare(found[0].ms), "share": "100.0%"}
    if len(found) > 1:
        if not _all_plain(found):
            shown["baseline form"] = ""
        shown["baseline"] = _bare(found[1].ms)
        shown["ratio"] = relative(found[0].ms, found[1].ms, UNIT)
    return shown


def _time(span: Measurement, wide: bool) -> str:
    if not wide:
        return _bare(span.value)
    return human_interval(estimate_of(span), UNIT).removesuffix(f" {UNIT}")


def _bare(milliseconds: float) -> str:
    return human(milliseconds, UNIT).removesuffix(f" {UNIT}")


def _note(name: str, breakdown: Breakdown) -> str:
    plain = breakdown.plain.value
    return (
        f"{name}: a forward pass takes {human(plain, UNIT)}; the overhead of timing each slot "
        f"({breakdown.clocked.value / plain - 1:+.1%}) is subtracted; the rows sum to "
        f"{breakdown.ms / plain:.1%}; medians of {breakdown.passes} passes"
    )


def _all_plain(found: Sequence[Breakdown]) -> bool:
    """Check whether all slots of the baseline are deployed in their plain form."""
    return all(layer.form in ("", PLAIN) for layer in found[-1].layers)
