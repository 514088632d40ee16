"""The front as a table that fits the terminal.

Values are never cut. Where the terminal is too narrow for all columns, the values relative to the
baseline are left out first, which a note states; metrics that still do not fit continue in a second
table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from dsx.analysis import Entry, Front, chance_notes
from dsx.report.front.deployed import deployed_notes
from dsx.report.front.roles import LOOKS, Role, glyph, legend, role, status
from dsx.report.front.summary import (
    claim_notes,
    headline,
    highlights,
    left_out_notes,
    summarised,
    tally,
)
from dsx.report.front.view import (
    dense,
    has_uncertainty,
    likeliest,
    metrics,
    probability,
    ratio,
    short_ids,
)
from dsx.report.text.console import transliterate
from dsx.report.text.numbers import (
    counted_unit,
    flag_notes,
    flag_signs,
    title,
    unit_symbol,
    without_unit,
)
from dsx.report.text.outcomes import other_trials, outcome_notes


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The commands that show more of a study.

    Args:
        everything: Command that lists the whole front.
        design: Command that shows one design.
    """

    everything: str
    design: str


@dataclass(frozen=True, kw_only=True)
class FrontTable:
    """A front for `Console.print`: summary, table, notations of the designs, notes.

    Args:
        front: Front to show.
        complete: Whether to list the whole front with the possible members and all metrics, rather
            than the designs to look at first and the objectives.
        hints: Commands that show more, if any are to be named.
    """

    front: Front
    complete: bool = False
    hints: Hints | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = _View(front=self.front, complete=self.complete, ascii_only=options.ascii_only)
        layout = _fitting(view, console, options)
        yield view.text(f"{self.front.study}: {headline(self.front)}.", "bold")
        if view.rows:
            for block in _blocks(view, layout, console, options):
                yield view.table(block)
            yield Text()
            yield from view.descriptions(options.max_width)
        yield from view.notes(layout)
        yield view.text(tally(self.front))
        if self.hints is not None and view.rows:
            # Commands are never broken, so that they can be copied.
            for command in (self.hints.everything, self.hints.design):
                yield Text(f"  {command}", no_wrap=True, overflow="ignore")


@dataclass(frozen=True, kw_only=True)
class _Layout:
    metrics: tuple[str, ...]
    ratios: bool = True
    stacked: bool = False
    bare: bool = False


@dataclass(frozen=True, kw_only=True)
class _View:
    """Everything about the table except its width."""

    front: Front
    complete: bool
    ascii_only: bool

    @cached_property
    def rows(self) -> list[Entry]:
        if not self.complete:
            return summarised(self.front)
        baseline = self.front.baseline_entry
        others = [*likeliest(self.front.on_front, self.front), *self.front.possible]
        first = [] if baseline is None else [baseline]
        return [*first, *(entry for entry in others if entry.id != self.front.baseline)]

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        return tuple(metrics(self.front) if self.complete else self.front.objectives)

    def text(self, text: str, style: str = "") -> Text:
        return Text(transliterate(text, self.ascii_only), style=style)

    def table(self, layout: _Layout) -> Table:
        table = Table(
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
            header_style="bold",
        )
        columns = list(self._columns(layout))
        for header, _ in columns:
            table.add_column(header, justify="left" if header == "role" else "right", no_wrap=True)
        behind = next((e for e in self.rows if role(self.front, e) == Role.POSSIBLE), None)
        for row, entry in enumerate(self.rows):
            if entry is behind and row > 1:
                table.add_section()
            style = "bold cyan" if role(self.front, entry) == Role.KNEE else ""
            table.add_row(*(cells[row] for _, cells in columns), style=style)
            if entry.id == self.front.baseline:
                table.add_section()
        return table

    def _columns(self, layout: _Layout) -> Iterator[tuple[str, list[Text]]]:
        yield "", [self.text(self._glyphs(entry)) for entry in self.rows]
        yield "trial", [self.text(f"#{entry.trial}") for entry in self.rows]
        if not layout.bare:
            yield "role", [self._roles(entry, layout.stacked) for entry in self.rows]
        if self.complete and not layout.bare:
            ids = short_ids(self.front)
            yield "id", [self.text(ids[entry.id], "dim") for entry in self.rows]
        if self._shows_probability(layout):
            yield "P(front)", [self.text(probability(self.front, entry)) for entry in self.rows]
        if self.front.devices:
            numbers = [str(self.front.devices[entry.device]) for entry in self.rows]
            yield "device", [self.text(number) for number in numbers]
        for name in layout.metrics:
            unit = self.front.units.get(name, "")
            heading = f"{title(name, unit)} {unit_symbol(unit)}".rstrip()
            yield heading, self._values(name, unit)
            ratios = [ratio(self.front, entry, name) for entry in self.rows]
            if layout.ratios and any(ratios):
                yield "", [self.text(text, "dim") for text in ratios]
        if self._counts_dense(layout):
            yield "dense", [self.text(dense(entry)) for entry in self.rows]

    def _counts_dense(self, layout: _Layout) -> bool:
        deployed = any(entry.fallbacks is not None for entry in self.rows)
        return self.complete and deployed and not layout.bare

    def _shows_probability(self, layout: _Layout) -> bool:
        return self.complete and has_uncertainty(self.front) and not layout.bare

    def _glyphs(self, entry: Entry) -> str:
        kind = role(self.front, entry)
        signs = [glyph(self.front, kind)] if kind == Role.KNEE else []
        if entry.id == self.front.baseline:
            signs.append(glyph(self.front, Role.BASELINE))
        if not signs and has_uncertainty(self.front):
            signs.append(glyph(self.front, kind))
        return "".join(signs)

    def _roles(self, entry: Entry, stacked: bool) -> Text:
        lines = highlights(self.front).get(entry.id, [])
        return self.text("\n".join(lines).replace(" ", "\n" if stacked else " "))

    def _values(self, name: str, unit: str) -> list[Text]:
        found = [entry.metrics.get(name) for entry in self.rows]
        flags = ["" if value is None else flag_signs(value) for value in found]
        numbers = ["-" if value is None else without_unit(value, unit) for value in found]
        # The flags follow the right-aligned numbers, so that the last digits remain aligned.
        width, wide = max(map(len, numbers), default=0), max(map(len, flags), default=0)
        return [
            self.text(f"{number:>{width}}{flag:<{wide}}", "" if value else "dim")
            for number, flag, value in zip(numbers, flags, found, strict=True)
        ]

    def descriptions(self, width: int) -> Iterator[Text]:
        """Write the description of each design, cut to the width of the terminal."""
        margin = max(len(f"#{entry.trial}") for entry in self.rows)
        for entry in self.rows:
            line = self.text(f"{f'#{entry.trial}':>{margin}}  {entry.description}")
            if line.cell_len > width:
                line.truncate(width - 3, overflow="crop")
                line.append("...")
            yield line

    def notes(self, layout: _Layout) -> Iterator[Text]:
        front = self.front
        for note in [*outcome_notes(front.outcomes), *chance_notes(front)]:
            yield self.text(note, "yellow")
        if _gains_nothing(front.on_front):
            warning = (
                "All redesigned slots are deployed in their dense form: on this device none is "
                "computed faster than a full convolution."
            )
            yield self.text(warning, "yellow")
        if self.rows:
            yield self.text("; ".join(self._legend(layout)), "dim")
        if trials := other_trials(front.outcomes):
            yield self.text(f"trials: {trials}", "dim")
        for note in left_out_notes(front):
            yield self.text(note, "dim")
        if self.complete:
            yield from (self.text(note, "dim") for note in claim_notes(front))
            yield from (self.text(note, "dim") for note in deployed_notes(front))
        for name, condition in front.conditions.items():
            if self.complete or name.startswith("device"):
                yield self.text(f"{name}: {condition}", "dim")

    def _legend(self, layout: _Layout) -> Iterator[str]:
        shown = {role(self.front, entry) for entry in self.rows}
        if any(entry.id == self.front.baseline for entry in self.rows):
            shown.add(Role.BASELINE)
        marked = has_uncertainty(self.front)
        for kind in reversed(LOOKS):
            if kind in shown and (marked or kind in (Role.KNEE, Role.BASELINE)):
                yield f"{glyph(self.front, kind)} {self._meaning(kind)}"
        values = [e.metrics[n] for e in self.rows for n in layout.metrics if n in e.metrics]
        if any(not value.exact for value in values):
            yield "± 95 % interval"
        if any(ratio(self.front, entry, name) for entry in self.rows for name in layout.metrics):
            yield "% and pt relative to the baseline" + (
                "" if layout.ratios else " do not fit in this width"
            )
        if layout.bare:
            yield "the other columns do not fit in this width"
        yield from flag_notes(values)
        yield from self._units(layout)

    def _meaning(self, kind: Role) -> str:
        baseline = self.front.baseline_entry
        if kind == Role.BASELINE and baseline is not None:
            return f"baseline, {status(self.front, baseline)}"
        return legend(self.front, kind)

    def _units(self, layout: _Layout) -> Iterator[str]:
        for name in layout.metrics:
            unit = self.front.units.get(name, "")
            if counted_unit(name, unit):
                yield f"{title(name, unit)} in {unit}"
        seeds = {e.trial: max((v.seeds for v in e.metrics.values()), default=1) for e in self.rows}
        means = [f"#{trial} ({count})" for trial, count in seeds.items() if count > 1]
        if means:
            yield f"means over seeds: {', '.join(means)}"
        if self._shows_probability(layout):
            yield "P(front): probability of being on the front"
        if self._counts_dense(layout):
            yield "dense: redesigned slots that fell back to a dense kernel"


def _gains_nothing(entries: Iterable[Entry]) -> bool:
    deployed = [entry for entry in entries if entry.redesigned and entry.fallbacks is not None]
    return bool(deployed) and all(entry.fallbacks == entry.redesigned for entry in deployed)


def _fitting(view: _View, console: Console, options: ConsoleOptions) -> _Layout:
    """Choose the richest layout that fits, if need be with a table for each metric."""
    layout = _Layout(metrics=view.metrics)
    for ratios in (True, False):
        for stacked in (False, True):
            layout = replace(layout, ratios=ratios, stacked=stacked)
            if _width(view, layout, console, options) <= options.max_width:
                return layout
    singles = (replace(layout, metrics=(name,)) for name in layout.metrics)
    fits = all(_width(view, single, console, options) <= options.max_width for single in singles)
    return replace(layout, bare=not fits)


def _width(view: _View, layout: _Layout, console: Console, options: ConsoleOptions) -> int:
    unbounded = options.update(width=10_000)
    return Measurement.get(console, unbounded, view.table(layout)).maximum


def _blocks(
    view: _View, layout: _Layout, console: Console, options: ConsoleOptions
) -> Iterator[_Layout]:
    """Split the metrics into tables that fit the terminal."""
    block: list[str] = []
    for name in layout.metrics:
        wider = replace(layout, metrics=(*block, name))
        if block and _width(view, wider, console, options) > options.max_width:
            yield replace(layout, metrics=tuple(block))
            block = []
        block.append(name)
    yield replace(layout, metrics=tuple(block))
