"""The front as a Matplotlib figure for publications.

Two objectives span the axes; the colour of the marks shows a third one (cividis, which is suitable
for all colour vision and for greyscale), and their size a fourth one.
"""

import io
import math
import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis as PlotAxis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dsx.analysis import Entry, Estimate, Front
from dsx.errors import printable
from dsx.report.front.roles import LOOKS, Look, Role, hollow, legend, role
from dsx.report.front.summary import tally
from dsx.report.front.view import axis_title, logarithmic, number
from dsx.report.plotting.axis import Axis
from dsx.report.plotting.labels import Box, place
from dsx.report.text.escape import printable_front
from dsx.report.text.numbers import FLAGS, flag_signs, human, tick, title

_NAMED = [kind for kind, look in reversed(LOOKS.items()) if look.named]

_SWELL = (0.5, 3.0)
"""Factors of the area of a mark for the smallest and the largest value of a fourth objective."""

Rgba = tuple[float, float, float, float]

_RIM = 1.4
"""Line width of a hollow mark, whose membership of the front is uncertain."""

_EDGE = "white"
"""Edge of a mark without a trial number."""

_LABEL_SIZE = 7
TITLE_FONT = {"ha": "left", "fontsize": 11, "fontweight": "bold"}
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "svg.hashsalt": "dsx",
    # Names that contain dollar signs must not be interpreted as formulas.
    "text.parse_math": False,
    "text.usetex": False,
}


def figure(front: Front, x: str, y: str) -> Figure:
    """Plot a front.

    Args:
        front: Front of a study.
        x: Metric on the horizontal axis, or `trial`.
        y: Metric on the vertical axis, or `trial`.

    Returns:
        A figure of 6.4 x 4.4 inches with the trial numbers of the front, the knee and the baseline.
    """
    front, x, y = printable_front(front), printable(x), printable(y)
    with style.context(STYLE):
        drawn = Figure(figsize=(6.4, 4.4), dpi=200, layout="constrained")
        _Plot(front=front, drawn=drawn, axes=drawn.add_subplot(), x=x, y=y).draw()
    return drawn


def render(drawn: Figure, suffix: str) -> bytes:
    """Render a figure.

    Args:
        drawn: The figure.
        suffix: `png` or `svg`.

    Returns:
        The content of the file, which is reproducible to the byte.
    """
    out = io.BytesIO()
    with style.context(STYLE):
        drawn.savefig(out, format=suffix, metadata={"Date": None} if suffix == "svg" else {})
    return out.getvalue()


@dataclass(frozen=True, kw_only=True)
class _Plot:
    front: Front
    drawn: Figure
    axes: Axes
    x: str
    y: str

    def draw(self) -> None:
        shown = {kind: self._of(kind) for kind in LOOKS}
        named = [entry for kind in _NAMED for entry in shown[kind]]
        others = [name for name in self.front.objectives if name not in (self.x, self.y)]
        colours = self._colours(others[0], named) if others else {}
        areas = self._areas(others[1], named) if len(others) > 1 else {}
        self._captions()
        self._staircase()
        self._bars(named)
        for kind, entries in shown.items():
            self._scatter(kind, entries, colours, areas)
        self.axes.set_xlabel(axis_title(self.front, self.x))
        self.axes.set_ylabel(axis_title(self.front, self.y))
        self.axes.set_xscale(self._scale(self.x))
        self.axes.set_yscale(self._scale(self.y))
        self._ticks(self.axes.xaxis, self.x, _numbers(self._all, self.x))
        self._ticks(self.axes.yaxis, self.y, _numbers(self._all, self.y))
        self._legend(
            [kind for kind in reversed(LOOKS) if shown[kind]], bool(colours), others[1:2], named
        )
        # The layout must be computed before positions in pixels are known.
        self.drawn.draw_without_rendering()
        self.drawn.suptitle(self.front.study, x=self.axes.get_position().x0, **TITLE_FONT)
        self._labels(named)

    @property
    def _all(self) -> list[Entry]:
        return [e for e in self.front.entries if number(e, self.x) and number(e, self.y)]

    def _of(self, kind: Role) -> list[Entry]:
        return [entry for entry in self._all if role(self.front, entry) == kind]

    def _unit(self, name: str) -> str:
        return self.front.units.get(name, "")

    def _scale(self, name: str) -> str:
        return "log" if logarithmic(self.front, name) else "linear"

    def _captions(self) -> None:
        front = self.front
        summary = f"space {front.space}, {tally(front)}"
        conditions = "; ".join(f"{name}: {text}" for name, text in front.conditions.items())
        flags = "; ".join(f"{sign} {meaning}" for sign, meaning in self._flags())
        lines = [summary, *textwrap.wrap(conditions, 110), *textwrap.wrap(flags, 110)]
        self.drawn.suptitle(front.study, **TITLE_FONT)
        self.axes.set_title("\n".join(lines), loc="left", fontsize=7.5, color="#555555")

    def _flags(self) -> list[tuple[str, str]]:
        """List the signs and meanings of the flags of all designs with a trial number."""
        named = [entry for entry in self._all if role(self.front, entry) in _NAMED]
        shown = [value for pair in self._pairs(named) for value in pair]
        return [
            flag for name, flag in FLAGS.items() if any(getattr(value, name) for value in shown)
        ]

    def _flag_signs(self, entry: Entry) -> str:
        """Return the signs of the flags of both values of a design."""
        ((x, y),) = self._pairs([entry])
        return "".join(dict.fromkeys(flag_signs(x) + flag_signs(y)))

    def _staircase(self) -> None:
        """Draw the attainment line of a front with two objectives."""
        directions = self.front.objectives
        if {self.x, self.y} != directions.keys():
            return
        points = sorted(
            (entry.metrics[self.x].value, entry.metrics[self.y].value)
            for entry in self._all
            if entry.id in self.front.front_ids
        )
        step = "steps-post" if directions[self.x] == "minimize" else "steps-pre"
        xs, ys = [x for x, _ in points], [y for _, y in points]
        self.axes.plot(xs, ys, drawstyle=step, color="#9ecae1", linewidth=1.2, zorder=1)

    def _bars(self, entries: list[Entry]) -> None:
        xs, ys = _values(entries, self.x), _values(entries, self.y)
        self.axes.errorbar(
            [value.value for value in xs],
            [value.value for value in ys],
            xerr=arms(xs),
            yerr=arms(ys),
            fmt="none",
            ecolor="#8c8c8c",
            elinewidth=0.8,
            zorder=3,
        )

    def _scatter(
        self,
        kind: Role,
        entries: list[Entry],
        colours: dict[str, Rgba],
        areas: dict[str, float],
    ) -> None:
        mark, is_hollow = LOOKS[kind], hollow(self.front, kind)
        fills = [to_rgba(colours.get(entry.id, LOOKS[kind].colour)) for entry in entries]
        self.axes.scatter(
            _numbers(entries, self.x),
            _numbers(entries, self.y),
            s=[mark.area * areas.get(entry.id, 1.0) for entry in entries],
            c="white" if is_hollow else fills,
            marker=mark.marker,
            edgecolors=fills if is_hollow else mark.edge or _EDGE,
            linewidths=_RIM if is_hollow else 0.6,
            zorder=mark.layer,
        )

    def _colours(self, name: str, entries: list[Entry]) -> dict[str, Rgba]:
        """Compute the colours for a third objective, and add a colour bar."""
        known = [entry for entry in entries if number(entry, name)]
        values = _numbers(known, name)
        if not values:
            return {}
        ends = min(values), max(values)
        norm = LogNorm(*ends) if self._scale(name) == "log" else Normalize(*ends)
        scale = ScalarMappable(norm, "cividis")
        bar = self.drawn.colorbar(scale, ax=self.axes, pad=0.02, aspect=30)
        bar.set_label(axis_title(self.front, name))
        self._ticks(bar.ax.yaxis, name, values)
        colours = scale.to_rgba(np.array(values)).tolist()
        return dict(zip((entry.id for entry in known), colours, strict=True))

    def _areas(self, name: str, entries: list[Entry]) -> dict[str, float]:
        known = [entry for entry in entries if number(entry, name)]
        values = _numbers(known, name)
        if not values:
            return {}
        low, span = min(values), max(values) - min(values) or 1.0
        least, most = _SWELL
        areas = [least + (most - least) * (value - low) / span for value in values]
        return dict(zip((entry.id for entry in known), areas, strict=True))

    def _ticks(self, axis: PlotAxis, name: str, values: list[float]) -> None:
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value, self._unit(name))))
        if values and self._scale(name) == "log":
            axis.set_major_locator(FixedLocator(Axis.over(values, "", log=True).ticks(7)))
            axis.set_minor_locator(NullLocator())

    def _legend(
        self, kinds: list[Role], coloured: bool, sized: list[str], entries: list[Entry]
    ) -> None:
        handles = []
        for kind in kinds:
            mark = LOOKS[kind]
            colour = "#7d7c78" if coloured and kind in _NAMED else LOOKS[kind].colour
            label = legend(self.front, kind)
            is_hollow = hollow(self.front, kind)
            handles.append(handle(mark, colour, mark.area, label, is_hollow=is_hollow))
        for name in sized:
            for end, swell in zip((min, max), _SWELL, strict=True):
                value = human(end(_numbers(entries, name)), self._unit(name))
                mark = LOOKS[Role.FRONT]
                label = f"{title(name, self._unit(name))} {value}"
                handles.append(handle(mark, "#7d7c78", mark.area * swell, label))
        # More than four columns would not fit the figure if the names are long.
        columns = 5 if len(handles) <= 5 else 4
        self.drawn.legend(
            handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8
        )

    def _labels(self, entries: list[Entry]) -> None:
        """Write the trial numbers next to the marks, the most important first, without overlaps."""
        # Flagged designs come first, because the title explains their signs.
        entries = sorted(entries, key=lambda entry: not self._flag_signs(entry))
        pixel = self.drawn.dpi / 72
        to_pixels = self.axes.transData.transform
        seen = [to_pixels((v.value, w.value)) for v, w in self._pairs(self._all)]
        radius = 4 * pixel
        taken: list[Box] = [(x - radius, y - radius, x + radius, y + radius) for x, y in seen]
        texts = [f"#{entry.trial}{self._flag_signs(entry)}" for entry in entries]
        sizes = [(0.62 * _LABEL_SIZE * pixel * len(t), _LABEL_SIZE * pixel) for t in texts]
        points = [tuple(to_pixels((v.value, w.value))) for v, w in self._pairs(entries)]
        left, bottom, right, top = self.axes.bbox.extents
        corners = place(points, sizes, taken, (left, bottom, right, top), 7 * pixel)
        for text, corner in zip(texts, corners, strict=True):
            if corner is not None:
                x, y = self.axes.transData.inverted().transform(corner)
                self.axes.text(x, y, text, fontsize=_LABEL_SIZE, color="#333333", zorder=7)

    def _pairs(self, entries: list[Entry]) -> list[tuple[Estimate, Estimate]]:
        return list(zip(_values(entries, self.x), _values(entries, self.y), strict=True))


def _values(entries: list[Entry], name: str) -> list[Estimate]:
    return [value for entry in entries if (value := number(entry, name))]


def _numbers(entries: list[Entry], name: str) -> list[float]:
    return [value.value for value in _values(entries, name)]


def arms(values: list[Estimate]) -> list[list[float]]:
    """Compute the lengths of error bars.

    Args:
        values: Estimates.

    Returns:
        Two lists, the lengths downwards and upwards; 0 for infinite ends.
    """
    down, up = [v.value - v.low for v in values], [v.high - v.value for v in values]
    return [[arm if 0 < arm < math.inf else 0.0 for arm in side] for side in (down, up)]


def handle(mark: Look, colour: str, area: float, label: str, *, is_hollow: bool = False) -> Line2D:
    """Build the entry of a mark in a legend.

    Args:
        mark: Look of the mark.
        colour: Colour of the mark.
        area: Area of the mark in square points.
        label: Text of the entry.
        is_hollow: Whether the mark is hollow.

    Returns:
        A line without points, as Matplotlib expects it for legends.
    """
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=mark.marker,
        markersize=math.sqrt(area),
        markerfacecolor="white" if is_hollow else colour,
        markeredgecolor=colour if is_hollow else mark.edge or _EDGE,
        markeredgewidth=_RIM if is_hollow else 0.6,
        label=label,
    )
