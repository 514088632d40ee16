"""Proxy metrics as one HTML file that works offline: a panel for each, and an explanation."""

import math

import plotly.graph_objects as graph
from plotly.subplots import make_subplots

from dsx.analysis import Estimate
from dsx.report.front.roles import LOOKS, Role
from dsx.report.front.view import far_apart
from dsx.report.proxies.table import DRAWN, columns_of, drawn_as, panel_title, sentences
from dsx.report.text.escape import html
from dsx.report.text.numbers import annotated, heading, kind, title
from dsx.store.studies import Proxy, ProxyReport

_PANEL = 400
"""Pixels."""


def proxy_page(report: ProxyReport) -> str:
    """Write the page of the proxies of a study.

    Args:
        report: Rank correlations of the study.

    Returns:
        An HTML document without external resources.
    """
    plot = _plot(report).to_html(full_html=False, include_plotlyjs=True, div_id="proxies")
    study = html(report.front.study)
    text = "".join(f"<p>{html(sentence)}</p>" for sentence in sentences(report))
    conditions = "; ".join(f"{name}: {text}" for name, text in report.front.conditions.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{study}: proxies</title></head>\n"
        '<body style="font-family: sans-serif; margin: 2rem; max-width: 80rem">'
        f"<h1>{study}</h1>\n{plot}\n{text}\n"
        f'<p style="color: #555555">{html(conditions)}</p></body></html>\n'
    )


def _plot(report: ProxyReport) -> graph.Figure:
    columns = columns_of(report)
    rows = math.ceil(len(report.proxies) / columns)
    titles = [html(panel_title(report, proxy)) for proxy in report.proxies]
    plot = make_subplots(rows=rows, cols=columns, subplot_titles=titles)
    legend: set[Role] = set()
    for index, proxy in enumerate(report.proxies):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        points = report.points(proxy)
        for role in DRAWN:
            some = {d: pair for d, pair in points.items() if drawn_as(report, d) == role}
            if some:
                plot.add_trace(_trace(report, proxy, role, some, role not in legend), **place)
                legend.add(role)
        plot.update_xaxes(_axis(report, proxy.name, [x for x, _ in points.values()]), **place)
        plot.update_yaxes(_axis(report, proxy.target, [y for _, y in points.values()]), **place)
    plot.update_layout(height=rows * _PANEL, template="plotly_white", hovermode="closest")
    plot.update_layout(margin={"t": 50, "b": 50})
    return plot


def _trace(
    report: ProxyReport,
    proxy: Proxy,
    role: Role,
    points: dict[str, tuple[Estimate, Estimate]],
    explained: bool,
) -> graph.Scatter:
    look = LOOKS[role]
    units = report.front.units
    hover = [
        f"<b>{html(design)}</b><br>"
        + "<br>".join(
            html(f"{title(name, units.get(name, ''))}: {annotated(value, units.get(name, ''))}")
            for name, value in zip((proxy.name, proxy.target), pair, strict=True)
        )
        for design, pair in points.items()
    ]
    targets = [target for _, target in points.values()]
    return graph.Scatter(
        x=[value.value for value, _ in points.values()],
        y=[value.value for value in targets],
        error_y={
            "array": [value.high - value.value for value in targets],
            "arrayminus": [value.value - value.low for value in targets],
            "color": "#8c8c8c",
            "thickness": 1,
            "width": 0,
        },
        mode="markers",
        marker={"symbol": look.symbol, "size": look.size, "color": look.colour},
        name=DRAWN[role],
        legendgroup=role,
        showlegend=explained,
        text=hover,
        hoverinfo="text",
    )


def _axis(report: ProxyReport, name: str, values: list[Estimate]) -> dict[str, object]:
    unit = report.front.units.get(name, "")
    return {
        "title": html(heading(name, unit)),
        "type": "log" if far_apart([value.value for value in values]) else "linear",
        "tickformat": {"share": ".4~%", "count": ".4~s", "symbol": ""}[kind(unit)],
    }
