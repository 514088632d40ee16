"""The content of the figure, and its reproducibility."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Front
from dsx.report.front.figure import figure, render
from dsx.report.front.roles import LOOKS, Role
from dsx.report.front.view import axes


def drawn(front: Front, x: str | None = None, y: str | None = None) -> Figure:
    return figure(front, *axes(front, x, y))


def legend(picture: Figure) -> list[str]:
    return [text.get_text() for text in picture.legends[0].get_texts()]


def scattered(plot: Axes) -> list[PathCollection]:
    return [marks for marks in plot.collections if isinstance(marks, PathCollection)]


def faces(marks: PathCollection) -> list[tuple[float, ...]]:
    return [tuple(map(float, colour)) for colour in np.asarray(marks.get_facecolor())]


def edge_colours(marks: PathCollection) -> set[tuple[float, ...]]:
    return {tuple(map(float, colour)) for colour in np.asarray(marks.get_edgecolor())}


@pytest.mark.parametrize(
    "name", ["two", "three", "four", "one", "baseline_only", "infeasible", "incomplete"]
)
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_front_gives_the_same_bytes(
    name: str, suffix: str, request: pytest.FixtureRequest
) -> None:
    front = request.getfixturevalue(name)
    assert render(drawn(front), suffix) == render(drawn(front), suffix)


def test_no_date_and_no_traces_in_global_settings(two: Front) -> None:
    before = dict(matplotlib.rcParams)
    content = render(drawn(two), "svg").decode()
    assert dict(matplotlib.rcParams) == before
    assert "<dc:date>" not in content


def test_axes_title_and_conditions(two: Front) -> None:
    picture = drawn(two)
    (plot,) = picture.axes
    assert plot.get_xlabel() == "flops (multiply-adds), lower is better"
    assert plot.get_ylabel() == "accuracy (%), higher is better"
    assert picture.get_suptitle() == "vgg16-3"
    assert "5 of 9 designs on the front (3 certain), 1 more possible" in plot.get_title(loc="left")
    assert "device: Xeon, 1 thread" in plot.get_title(loc="left")
    assert legend(picture) == [
        "knee",
        "baseline (uncertain)",
        "front",
        "front (uncertain)",
        "dominated",
        "infeasible",
    ]
    ticks = [label.get_text() for label in plot.get_xticklabels()]
    assert "100 M" in ticks and "200 M" in ticks
    assert "93" in [label.get_text() for label in plot.get_yticklabels()]


def test_every_design_is_a_mark_of_its_role(two: Front) -> None:
    (plot,) = drawn(two).axes
    filled = {
        role: len(faces(marks))
        for marks in scattered(plot)
        for role, look in LOOKS.items()
        if role != Role.UNCERTAIN and set(faces(marks)) == {to_rgba(look.colour)}
    }
    assert filled == {"knee": 1, "front": 2, "dominated": 2, "infeasible": 1}
    hollow = [marks for marks in scattered(plot) if set(faces(marks)) == {to_rgba("white")}]
    found = [(len(np.asarray(marks.get_offsets())), edge_colours(marks)) for marks in hollow]
    assert [(count, colours) for count, colours in found if count] == [
        (2, {to_rgba(LOOKS[Role.UNCERTAIN].colour)}),
        (1, {to_rgba(LOOKS[Role.BASELINE].colour)}),
    ]
    assert {text.get_text() for text in plot.texts} == {"#0", "#1", "#2", "#3", "#4", "#7"}


def test_flagged_values_have_signs_that_the_title_explains(flagged_front: Front) -> None:
    (plot, *_) = drawn(flagged_front, x="latency_ms").axes
    shown = {text.get_text() for text in plot.texts}
    assert "#1~!" in shown
    assert not any(text.endswith(("~", "!")) for text in shown - {"#1~!", "#2~"})
    heading = plot.get_title(loc="left")
    assert "~ time budget exhausted" in heading and "! measured while" in heading
    # Only the flags of the metrics on the axes are shown.
    (plot, *_) = drawn(flagged_front, x="flops").axes
    assert not any(text.get_text().endswith(("~", "!")) for text in plot.texts)
    assert "~" not in plot.get_title(loc="left")


def test_two_objectives_are_joined_by_a_staircase(two: Front, three: Front) -> None:
    stairs = [line for line in drawn(two).axes[0].lines if line.get_drawstyle() == "steps-post"]
    (line,) = stairs
    assert np.array_equal(
        line.get_xdata(), [20_713_472, 35_250_000, 74_500_000, 108_000_000, 210_400_000]
    )
    turned = drawn(two, "accuracy", "flops").axes[0].lines
    assert "steps-pre" in [line.get_drawstyle() for line in turned]
    assert not [line for line in drawn(three).axes[0].lines if "steps" in line.get_drawstyle()]


def test_intervals_are_bars(two: Front) -> None:
    (bars,) = drawn(two).axes[0].containers
    assert isinstance(bars, ErrorbarContainer)
    across, upright = (part.get_segments() for part in bars.lines[2])
    assert [round(float(end[1] - start[1]), 4) for start, end in upright] == [0.008] * 6
    assert [float(end[0] - start[0]) for start, end in across] == [0.0] * 6


def certain_and_not(plot: Axes) -> tuple[PathCollection, PathCollection]:
    """Find the marks of certain and of uncertain members of the front."""
    pairs = [marks for marks in scattered(plot) if len(np.asarray(marks.get_offsets())) == 2]
    white = {to_rgba("white")}
    (uncertain,) = [marks for marks in pairs if set(faces(marks)) == white]
    (certain,) = [
        marks for marks in pairs if edge_colours(marks) == white and len(set(faces(marks))) == 2
    ]
    return certain, uncertain


def test_a_third_objective_is_colour_a_fourth_is_size(three: Front, four: Front) -> None:
    plot, bar = drawn(three).axes
    assert bar.get_ylabel() == "latency (ms), lower is better"
    certain, uncertain = certain_and_not(plot)
    assert len(set(faces(certain))) == len(edge_colours(uncertain)) == 2
    assert len(set(certain.get_sizes())) == len(set(uncertain.get_sizes())) == 1
    picture = drawn(four)
    for marks in certain_and_not(picture.axes[0]):
        assert len(set(marks.get_sizes())) == 2
    assert legend(picture)[-2:] == ["params 61.0 k", "params 577.3 k"]


def test_infinite_intervals_have_no_bars(incomplete: Front) -> None:
    (bars,) = drawn(incomplete, y="accuracy").axes[0].containers
    assert isinstance(bars, ErrorbarContainer)
    lengths = {round(float(end[1] - start[1]), 4) for start, end in bars.lines[2][1].get_segments()}
    assert lengths == {0.0, 0.008}


def test_values_far_apart_have_a_logarithmic_axis(incomplete: Front) -> None:
    plot = drawn(incomplete).axes[0]
    assert plot.get_xscale() == "log"
    assert plot.get_yscale() == "linear"
    shown = [label.get_text() for label in plot.get_xticklabels()]
    assert shown == ["1 k", "10 k", "100 k", "1 M", "10 M", "100 M"]
    slim = replace(incomplete, entries=incomplete.entries[1:])
    metrics = {**slim.entries[0].metrics, "flops": Estimate(value=4e6, low=4e6, high=4e6)}
    slim = replace(slim, entries=(replace(slim.entries[0], metrics=metrics), *slim.entries[1:]))
    shown = [label.get_text() for label in drawn(slim).axes[0].get_xticklabels()]
    assert shown == ["5 M", "10 M", "20 M", "50 M", "100 M", "200 M"]


def test_a_baseline_that_is_the_knee(baseline_only: Front) -> None:
    assert legend(drawn(baseline_only)) == ["knee, the baseline"]


def test_a_possible_member_of_the_front_is_a_small_ring(three: Front) -> None:
    picture = drawn(three)
    ring = to_rgba(LOOKS[Role.POSSIBLE].colour)
    (possible,) = [marks for marks in scattered(picture.axes[0]) if edge_colours(marks) == {ring}]
    assert faces(possible) == [to_rgba("white")]
    assert "dominated (uncertain)" in legend(picture)
    handles = dict(zip(legend(picture), picture.legends[0].legend_handles, strict=True))
    faced = {name: handle.get_markerfacecolor() for name, handle in handles.items()}  # type: ignore[union-attr]
    assert faced["front (uncertain)"] == faced["baseline (uncertain)"] == "white" != faced["front"]


def test_the_legend_fits_the_figure(four: Front) -> None:
    wide = {"accuracy": Estimate(value=0.9, low=0.0, high=1.0)}
    entries = tuple(replace(e, metrics={**e.metrics, **wide}) for e in four.entries)
    picture = drawn(replace(four, entries=entries))
    picture.draw_without_rendering()
    box = picture.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= picture.bbox.x1
