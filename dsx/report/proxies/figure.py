"""Proxy metrics as a Matplotlib figure: a panel for each proxy and measured metric."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis as PlotAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from dsx.analysis import Estimate
from dsx.errors import printable
from dsx.report.front.figure import STYLE, TITLE_FONT, arms, handle
from dsx.report.front.roles import LOOKS
from dsx.report.front.view import far_apart
from dsx.report.plotting.axis import Axis
from dsx.report.proxies.table import DRAWN, columns_of, drawn_as, panel_title
from dsx.report.text.numbers import heading, tick
from dsx.store.studies import Proxy, ProxyReport

_PANEL = 2.9, 2.6
"""Inches."""


def proxy_figure(report: ProxyReport) -> Figure:
    """Plot the measured metrics of a study over their proxies.

    Args:
        report: Rank correlations of the study.

    Returns:
        A figure with a panel for each proxy, at most three in a row.
    """
    columns = columns_of(report)
    rows = math.ceil(len(report.proxies) / columns)
    # A single panel leaves room for the title and the legend.
    width, height = max(columns, 1.5) * _PANEL[0], rows * _PANEL[1] + 0.9
    with style.context(STYLE):
        drawn = Figure(figsize=(width, height), dpi=200, layout="constrained")
        for index, proxy in enumerate(report.proxies):
            panel = drawn.add_subplot(rows, columns, index + 1)
            _Panel(report=report, axes=panel, proxy=proxy).draw()
        _legend(drawn, report)
        study = printable(report.front.study)
        # The layout is computed once, so that the title can be aligned with the panels.
        drawn.suptitle(study, **TITLE_FONT)
        drawn.draw_without_rendering()
        drawn.suptitle(study, x=drawn.axes[0].get_position().x0, **TITLE_FONT)
    return drawn


def _legend(drawn: Figure, report: ProxyReport) -> None:
    shown = {
        drawn_as(report, design) for proxy in report.proxies for design in report.points(proxy)
    }
    handles = [
        handle(LOOKS[role], LOOKS[role].colour, LOOKS[role].area, name)
        for role, name in reversed(DRAWN.items())
        if role in shown
    ]
    conditions = "; ".join(f"{name}: {text}" for name, text in report.front.conditions.items())
    legend = drawn.legend(
        handles=handles,
        title=textwrap.fill(printable(conditions), int(19 * drawn.get_figwidth())),
        title_fontsize=7,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8,
    )
    legend.get_title().set(color="#555555", ha="center")


@dataclass(frozen=True, kw_only=True)
class _Panel:
    report: ProxyReport
    axes: Axes
    proxy: Proxy

    def draw(self) -> None:
        points = self.report.points(self.proxy)
        for role in DRAWN:
            some = [
                pair for design, pair in points.items() if drawn_as(self.report, design) == role
            ]
            self._bars(some)
            mark = LOOKS[role]
            self.axes.scatter(
                [x.value for x, _ in some],
                [y.value for _, y in some],
                s=mark.area,
                c=mark.colour,
                marker=mark.marker,
                edgecolors=mark.edge or "white",
                linewidths=0.6,
                zorder=mark.layer,
            )
        xs, ys = zip(*points.values(), strict=True)
        self._axis(self.axes.xaxis, self.proxy.name, xs)
        self._axis(self.axes.yaxis, self.proxy.target, ys)
        self.axes.set_title(panel_title(self.report, self.proxy), loc="left", fontsize=8)

    def _bars(self, points: list[tuple[Estimate, Estimate]]) -> None:
        self.axes.errorbar(
            [x.value for x, _ in points],
            [y.value for _, y in points],
            xerr=arms([x for x, _ in points]),
            yerr=arms([y for _, y in points]),
            fmt="none",
            ecolor="#8c8c8c",
            elinewidth=0.7,
            zorder=1,
        )

    def _axis(self, axis: PlotAxis, name: str, values: Sequence[Estimate]) -> None:
        unit = self.report.front.units.get(name, "")
        numbers = [value.value for value in values]
        axis.set_label_text(printable(heading(name, unit)))
        if far_apart(numbers):
            set_scale = self.axes.set_xscale if axis is self.axes.xaxis else self.axes.set_yscale
            set_scale("log")
            axis.set_major_locator(FixedLocator(Axis.over(numbers, "", log=True).ticks(4)))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(5))
        # After the scale, which sets a formatter.
        axis.set_major_formatter(FuncFormatter(lambda number, _: tick(number, unit)))
