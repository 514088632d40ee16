"""The figure of the proxies."""

import dataclasses

import numpy as np
from matplotlib.collections import PathCollection

from dsx.analysis.estimate import Estimate
from dsx.report.front.figure import render
from dsx.report.proxies.figure import proxy_figure
from dsx.report.proxies.table import DRAWN, drawn_as, panel_title
from dsx.store.studies.proxies import ProxyReport, compare
from tests.search.kinds import KINDS


def test_every_design_is_a_mark_in_every_panel_of_its_metrics(
    proxies: ProxyReport,
) -> None:
    panels = proxy_figure(proxies).axes
    assert [panel.get_title("left") for panel in panels] == [
        panel_title(proxies, proxy) for proxy in proxies.proxies
    ]
    for panel, proxy in zip(panels, proxies.proxies, strict=True):
        points = proxies.points(proxy)
        kinds = [marks for marks in panel.collections if isinstance(marks, PathCollection)]
        drawn = [np.asarray(marks.get_offsets()).tolist() for marks in kinds]
        assert drawn == [
            [
                [x.value, y.value]
                for design, (x, y) in points.items()
                if drawn_as(proxies, design) == role
            ]
            for role in DRAWN
        ]


def test_axes_are_named_with_their_units(proxies: ProxyReport) -> None:
    panel = proxy_figure(proxies).axes[0]
    assert panel.get_xlabel() == "flops (multiply-adds)"
    assert panel.get_ylabel() == "latency (ms)"
    # From 15 M to 9 G.
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "linear")


def test_the_legend_contains_the_shown_roles_and_the_conditions(proxies: ProxyReport) -> None:
    (legend,) = proxy_figure(proxies).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("baseline", "front", "other designs")
    ]
    assert "Xeon, 1 thread, float32" in legend.get_title().get_text()


def test_the_same_report_gives_the_same_bytes(proxies: ProxyReport) -> None:
    assert render(proxy_figure(proxies), "svg") == render(proxy_figure(proxies), "svg")


def test_one_panel_and_no_design_of_the_front(proxies: ProxyReport) -> None:
    numbers = {
        f"design {n}": {m: Estimate(value=n, low=n, high=n) for m in ("flops", "latency_ms")}
        for n in range(3)
    }
    baseline_only = dataclasses.replace(
        proxies, numbers=numbers, proxies=compare(numbers, KINDS, "x")
    )
    drawn = proxy_figure(baseline_only)
    assert len(drawn.axes) == 1
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["other designs"]
