"""A scatter plot of two metrics in the terminal."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from dsx.analysis import Entry, Front
from dsx.report.front.roles import LOOKS, Role, glyph, legend, role
from dsx.report.front.view import axes, axis_title, logarithmic, number
from dsx.report.plotting.axis import Axis
from dsx.report.text.console import transliterate
from dsx.report.text.numbers import tick

_NARROWEST, _WIDEST = 30, 100


@dataclass(frozen=True)
class TerminalPlot:
    """A scatter plot of a front for `Console.print`.

    Args:
        front: Front of a study.
        x: Metric on the horizontal axis, or `trial`; None for the first minimised objective.
        y: Metric on the vertical axis, or `trial`; None for the first maximised objective, or else
            the next one.
        height: Height of the plotting area in lines.

    Raises:
        DsxError: If there is no such metric.
    """

    front: Front
    _: KW_ONLY
    x: str | None = None
    y: str | None = None
    height: int = 16

    def __post_init__(self) -> None:
        axes(self.front, self.x, self.y)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        x, y = axes(self.front, self.x, self.y)
        points = _points(self.front, x, y)
        if not points:
            yield Text(f"Nothing to plot: no design has both {x} and {y}.", style="yellow")
            return
        for line in self._lines(points, x, y, max(_NARROWEST, min(options.max_width, _WIDEST))):
            line.plain = transliterate(line.plain, options.ascii_only)
            yield line

    def _lines(self, points: list["_Point"], x: str, y: str, width: int) -> Iterator[Text]:
        rows = self._axis(y, [point.y for point in points])
        marks = rows.ticks(max(2, self.height // 4))
        labels = {rows.cell(value, self.height): tick(value, rows.unit) for value in marks}
        margin = max(map(len, labels.values())) + 1
        columns = self._axis(x, [point.x for point in points])
        canvas = _canvas(points, columns, rows, width - margin - 1, self.height)

        yield Text(axis_title(self.front, y), style="dim")
        for row in reversed(range(self.height)):
            edge = f"{labels.get(row, ''):>{margin}}{'┤' if row in labels else '│'}"
            yield Text(edge, style="dim").append_text(canvas[row])
        yield from self._foot(columns, margin, width - margin - 1)
        yield Text(axis_title(self.front, x).rjust(width), style="dim")
        yield from self._legend(points, width)

    def _foot(self, columns: Axis, margin: int, width: int) -> Iterator[Text]:
        rule, labels = ["─"] * width, [" "] * (margin + 1 + width)
        free = 0
        for value in columns.ticks(max(2, width // 12)):
            cell, label = columns.cell(value, width), tick(value, columns.unit)
            middle = margin + 1 + cell - len(label) // 2
            start = max(0, min(middle, len(labels) - len(label)))
            if start >= free:
                rule[cell] = "┴"
                labels[start : start + len(label)] = label
                free = start + len(label) + 2
        yield Text(" " * margin + "└" + "".join(rule), style="dim")
        yield Text("".join(labels), style="dim")

    def _legend(self, points: list["_Point"], width: int) -> Iterator[Text]:
        """Write the legend, breaking lines between its entries."""
        roles = {point.role for point in points}
        line = Text()
        for kind, look in reversed(LOOKS.items()):
            if kind in roles:
                name = Text(f"{glyph(self.front, kind)} {legend(self.front, kind)}", look.style)
                if line and len(line) + 2 + len(name) > width:
                    yield line
                    line = Text()
                line = Text("  ").join([line, name]) if line else name
        yield line

    def _axis(self, name: str, values: list[float]) -> Axis:
        return Axis.over(values, self._unit(name), log=logarithmic(self.front, name))

    def _unit(self, name: str) -> str:
        return self.front.units.get(name, "")


@dataclass(frozen=True, kw_only=True)
class _Point:
    x: float
    y: float
    role: Role
    mark: str
    label: str


def _points(front: Front, x: str, y: str) -> list[_Point]:
    """List the points in drawing order; later ones cover earlier ones."""
    points = []
    for entry in front.entries:
        x_value, y_value = number(entry, x), number(entry, y)
        if x_value is not None and y_value is not None:
            kind = role(front, entry)
            sign, label = glyph(front, kind), _label(front, entry)
            point = _Point(x=x_value.value, y=y_value.value, role=kind, mark=sign, label=label)
            points.append(point)
    order = list(LOOKS)
    return sorted(points, key=lambda point: order.index(point.role))


def _label(front: Front, entry: Entry) -> str:
    named = entry.id in front.front_ids or entry.id == front.baseline
    return f"#{entry.trial}" if named else ""


def _canvas(points: list[_Point], columns: Axis, rows: Axis, width: int, height: int) -> list[Text]:
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for point in points:
        at = rows.cell(point.y, height), columns.cell(point.x, width)
        cells[at] = point.mark, LOOKS[point.role].style
    for point in reversed(points):
        row, column = rows.cell(point.y, height), columns.cell(point.x, width)
        room = len(point.label) + 1
        for start in (column + 1, column - len(point.label)):
            wanted = {(row, start + i) for i in range(-1, room)} - {(row, column)}
            inside = start >= 0 and start + len(point.label) <= width
            if inside and not wanted & cells.keys():
                for i, letter in enumerate(point.label):
                    cells[row, start + i] = letter, "dim"
                break
    blank = (" ", "")
    return [
        Text.assemble(*(cells.get((row, column), blank) for column in range(width)))
        for row in range(height)
    ]
