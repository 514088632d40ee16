"""The front as a table that fits the terminal: narrower means fewer columns, never broken figures.

Given up in this order: what is no objective, the words beside the figures (they move below the
table), the dense column, numbers of seeds (they move below too), ids, intervals, ratios. Objectives
that still do not fit side by side continue in a second table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dsx.analysis import Entry, Front, chance_notes
from dsx.report.front.deployed import deployed_notes
from dsx.report.front.view import (
    dense,
    hollow,
    listed,
    mark,
    metrics,
    ratio,
    role,
    short_ids,
    standing,
    tally,
    uncertain,
    unlisted,
)
from dsx.report.text.console import MARKS, spelled
from dsx.report.text.numbers import DOUBTS, counted, doubts, human, human_interval, of_seeds, title
from dsx.report.text.outcomes import other_trials, outcome_notes

_WORDS_WIDTH = 34
_WORDS_LINES = 3
_GAP = 2


@dataclass(frozen=True)
class FrontTable:
    """A front for `Console.print`: the best in the first objective first, the baseline last.

    Args:
        front: What to show.
    """

    front: Front

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = _View(self.front, options.ascii_only)
        layout = _fitting(view, console, options)
        yield Text(view.title, style="bold")
        for block in _blocks(view, layout, console, options):
            yield view.table(block)
        yield Text()
        if not layout.words:
            yield from view.words_below()
        yield from view.notes(layout)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    metrics: tuple[str, ...]
    words: bool = False
    dense: bool = True
    seeds: bool = True
    intervals: bool = True
    ids: bool = True
    ratios: bool = True


@dataclass(frozen=True)
class _View:
    """Everything about the table but its width."""

    front: Front
    ascii_only: bool

    @property
    def title(self) -> str:
        return f"{self.front.study} (space {self.front.space}): {tally(self.front)}"

    @cached_property
    def rows(self) -> list[Entry]:
        return listed(self.front)

    @property
    def tells_dense(self) -> bool:
        return any(entry.fallbacks is not None for entry in self.rows)

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
            words = header == "design"
            table.add_column(header, justify="left" if words else "right", no_wrap=not words)
        behind = next((e for e in self.rows if e.id not in self.front.front_ids), None)
        for row, entry in enumerate(self.rows):
            if entry.id == self.front.baseline or entry is behind:
                table.add_section()
            style = "bold cyan" if role(self.front, entry) == "knee" else ""
            table.add_row(*(cells[row] for _, cells in columns), style=style)
        return table

    def _columns(self, layout: _Layout) -> Iterator[tuple[str, list[Text]]]:
        rows, ids = self.rows, short_ids(self.front)
        yield "", [self._text(self._mark(entry)) for entry in rows]
        yield "trial", [self._text(f"#{entry.trial}") for entry in rows]
        if layout.ids:
            yield "id", [self._text(ids[entry.id], "dim") for entry in rows]
        if self.front.devices:
            numbers = [str(self.front.devices[entry.device]) for entry in rows]
            yield "device", [self._text(number) for number in numbers]
        for name in layout.metrics:
            heading = title(name, self.front.units.get(name, ""))
            yield heading, self._figures(name, layout)
            ratios = [ratio(self.front, entry, name) for entry in rows]
            if layout.ratios and any(ratios):
                yield "", [self._text(said, "dim") for said in ratios]
        if layout.dense and self.tells_dense:
            yield "dense", [self._text(dense(entry)) for entry in rows]
        if layout.words:
            yield "design", [self._text(entry.words) for entry in rows]

    def _text(self, text: str, style: str = "") -> Text:
        return Text(spelled(text, self.ascii_only), style=style)

    def _mark(self, entry: Entry) -> str:
        kind = role(self.front, entry)
        signs = [mark(self.front, kind)] if kind == "knee" else []
        if entry.id == self.front.baseline:
            signs.append(mark(self.front, "baseline"))
        if not signs and uncertain(self.front):
            signs.append(mark(self.front, kind))
        return "".join(signs)

    def _figures(self, name: str, layout: _Layout) -> list[Text]:
        found = [entry.metrics.get(name) for entry in self.rows]
        marks = ["" if value is None else doubts(value) for value in found]
        unit = self.front.units.get(name, "")
        said = []
        for value in found:
            if value is None:
                said.append("-")
            elif layout.intervals:
                said.append(human_interval(value, unit) + of_seeds(value) * layout.seeds)
            else:
                said.append(human(value.value, unit))
        # Marks stand to the right of where the figures end, so that these stay in line.
        width = max(map(len, said), default=0) if any(marks) else 0
        texts = []
        for figure, sign, value in zip(said, marks, found, strict=True):
            text = self._text(f"{figure:>{width}}{sign}", "dim" if value is None else "")
            text.justify = "left" if width else "right"
            texts.append(text)
        return texts

    def words_below(self) -> Iterator[Table]:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(justify="right", no_wrap=True)
        table.add_column()
        told = [entry for entry in self.rows if role(self.front, entry) != "possible"]
        for entry in told:
            table.add_row(self._text(f"#{entry.trial}"), self._text(entry.words))
        if told:
            yield table

    def notes(self, layout: _Layout) -> Iterator[Text | Padding]:
        front = self.front
        if not front.on_front:
            yield Text(f"{front.why_empty}.", style="yellow")
        for note in [*outcome_notes(front.outcomes), *chance_notes(front)]:
            yield self._text(note, "yellow")
        if _gains_nothing(front.on_front):
            warning = (
                "All redesigned slots are deployed in their dense form: on this device none is "
                "computed faster than a full convolution."
            )
            yield Text(warning, style="yellow")
        said = list(self._legend(layout))
        if layout.dense and self.tells_dense:
            said.append("dense: so many of the redesigned slots are deployed in their dense form")
        for name in layout.metrics:
            unit = front.units.get(name, "")
            if counted(name, unit):
                said.append(f"{title(name, unit)} in {unit}")
        yield self._text("; ".join(said), "dim")
        if unlisted(front):
            more = f"{unlisted(front)} more designs are perhaps on the front"
            yield self._text(f"{more} (the JSON output lists all).", "dim")
        yield from (self._text(note, "dim") for note in deployed_notes(front))
        if trials := other_trials(front.outcomes):
            yield self._text(f"trials: {trials}", "dim")
        for name, condition in front.conditions.items():
            yield self._text(f"{name}: {condition}", "dim")

    def _legend(self, layout: _Layout) -> Iterator[str]:
        front, baseline = self.front, self.front.baseline_entry
        if front.has_knee:
            unsure = ", perhaps on the front" if hollow(front, "knee") else ""
            yield f"{mark(front, 'knee')} knee{unsure}"
        if uncertain(front):
            kinds = {role(front, entry) for entry in self.rows}
            says = {"front": "on the front", "unsure": "perhaps on the front"}
            says["possible"] = "dominated, perhaps not"
            yield from (f"{MARKS[kind]} {words}" for kind, words in says.items() if kind in kinds)
        if baseline is not None:
            yield f"{mark(front, 'baseline')} baseline ({standing(front, baseline)})"
            if layout.ratios:
                yield "% and pt relative to it"
        shown = [e.metrics[n] for e in self.rows for n in layout.metrics if n in e.metrics]
        for name, (sign, words) in DOUBTS.items():
            if any(getattr(value, name) for value in shown):
                yield f"{sign} {words}"
        if not (layout.seeds and layout.intervals):
            seeds = {
                e.trial: max(v.seeds for v in e.metrics.values()) for e in self.rows if e.metrics
            }
            means = [f"#{trial} ({count})" for trial, count in seeds.items() if count > 1]
            if means:
                yield f"means over seeds: {', '.join(means)}"


def _gains_nothing(entries: Iterable[Entry]) -> bool:
    tried = [entry for entry in entries if entry.redesigned and entry.fallbacks is not None]
    return bool(tried) and all(entry.fallbacks == entry.redesigned for entry in tried)


def _layouts(front: Front) -> Iterator[_Layout]:
    """Name the layouts to try, the richest first."""
    names, least = metrics(front), len(front.objectives)
    for words in (True, False):
        for count in range(len(names), least - 1, -1):
            yield _Layout(metrics=tuple(names[:count]), words=words)
    bare = _Layout(metrics=tuple(front.objectives), dense=False)
    yield bare
    yield (bare := replace(bare, seeds=False))
    yield (bare := replace(bare, ids=False))
    yield (bare := replace(bare, intervals=False))
    yield replace(bare, ratios=False)


def _fitting(view: _View, console: Console, options: ConsoleOptions) -> _Layout:
    """Choose the richest layout that fits; the barest if none does."""
    for layout in _layouts(view.front):
        room = options.max_width - _width(view, replace(layout, words=False), console, options)
        if room >= 0 and (not layout.words or _reads_well(view, room - _GAP, console)):
            return layout
    return layout


def _reads_well(view: _View, width: int, console: Console) -> bool:
    lines = (len(Text(entry.words).wrap(console, width)) for entry in view.rows)
    return width >= _WORDS_WIDTH and all(count <= _WORDS_LINES for count in lines)


def _width(view: _View, layout: _Layout, console: Console, options: ConsoleOptions) -> int:
    unbounded = options.update(width=10_000)
    return Measurement.get(console, unbounded, view.table(layout)).maximum


def _blocks(
    view: _View, layout: _Layout, console: Console, options: ConsoleOptions
) -> Iterator[_Layout]:
    """Cut the metrics into runs that fit side by side (one run but on a very narrow terminal)."""
    run: list[str] = []
    for name in layout.metrics:
        wider = replace(layout, metrics=(*run, name), words=False)
        if run and _width(view, wider, console, options) > options.max_width:
            yield replace(layout, metrics=tuple(run))
            run = []
        run.append(name)
    yield replace(layout, metrics=tuple(run))
