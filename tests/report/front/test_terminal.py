"""The plot in the terminal: positions of the marks at every width."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Entry, Front
from dsx.errors import DsxError
from dsx.report.front.terminal import TerminalPlot


def shown(plot: TerminalPlot, width: int = 80, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    Console(file=file, width=width, highlight=False).print(plot)
    return raw.getvalue().decode(encoding).splitlines()


def canvas(lines: list[str]) -> list[str]:
    return [line for line in lines if "│" in line or "┤" in line]


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.parametrize("name", ["two", "three", "four", "one", "baseline_only", "incomplete"])
def test_no_line_is_longer_than_the_terminal(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    lines = shown(TerminalPlot(request.getfixturevalue(name)), width)
    assert max(map(len, lines)) <= width
    assert len(canvas(lines)) == 16
    assert any("★" in line or "☆" in line for line in canvas(lines))


def test_content(two: Front) -> None:
    lines = shown(TerminalPlot(two))
    assert lines[0].strip() == "accuracy (%), higher is better"
    assert lines[-3].strip() == "flops (multiply-adds), lower is better"
    assert lines[-2:] == [
        "★ knee  ◇ baseline (uncertain)  ● front  ○ front (uncertain)  · dominated",
        "x infeasible",
    ]
    assert re.split(" {2,}", lines[-4].strip()) == [f"{n} M" for n in (50, 100, 150, 200, 250, 300)]
    drawn = "".join(canvas(lines))
    marks = {mark: drawn.count(mark) for mark in "★●○◇·x"}
    assert marks == {"★": 1, "●": 2, "○": 2, "◇": 1, "·": 2, "x": 1}
    for trial in (0, 1, 2, 3, 4, 7):
        assert f"#{trial}" in drawn
    for trial in (5, 6, 8):
        assert f"#{trial}" not in drawn


def test_marks_are_at_the_positions_of_their_values(two: Front) -> None:
    rows = canvas(shown(TerminalPlot(two), 61))
    best = next(i for i, line in enumerate(rows) if "#7" in line)
    worst = next(i for i, line in enumerate(rows) if line.rstrip().endswith("·") and i > 10)
    assert (best, worst) == (0, 15)
    baseline = next(line for line in rows if "◇" in line)
    assert baseline.rstrip().endswith("#0◇") and baseline.index("◇") == 60
    infeasible = next(line for line in rows if "x" in line)
    assert infeasible.index("x") == infeasible.index("│") + 1
    knee = next(line for line in rows if "★" in line)
    left, width = knee.index("│") + 1, 61 - 4
    where = (74_500_000 - 15_000_000) / (313_201_664 - 15_000_000)
    assert knee.index("★") - left == round(where * (width - 1))


def test_any_two_metrics_and_the_trial(three: Front) -> None:
    lines = shown(TerminalPlot(three, x="trial", y="latency_ms", height=8))
    assert lines[0].strip() == "latency (ms), lower is better"
    assert lines[-3].strip() == "trial"
    assert len(canvas(lines)) == 8


def test_labels_do_not_cover_marks(two: Front) -> None:
    def at(n: int) -> Entry:
        number = Estimate(value=float(n), low=float(n), high=float(n))
        metrics = {"flops": number, "accuracy": number}
        return replace(two.entries[1], id=f"{n:012x}", trial=n, metrics=metrics)

    crowded = replace(two, entries=tuple(at(n) for n in range(1, 46)))
    drawn = "".join(canvas(shown(TerminalPlot(crowded), 60)))
    assert drawn.count("●") + drawn.count("★") == 45
    assert 5 <= drawn.count("#") < 45


@pytest.mark.parametrize("width", [30, 40, 60])
def test_tick_labels_do_not_overlap(incomplete: Front, width: int) -> None:
    lines = shown(TerminalPlot(incomplete), width)
    below = next(i for i, line in enumerate(lines) if "└" in line) + 1
    ticks = re.split(" {2,}", lines[below].strip())
    assert len(ticks) >= 2
    assert all(re.fullmatch(r"10{0,2} [kM]", tick) for tick in ticks)


def ticks_between(low: float, high: float, front: Front, width: int) -> tuple[int, list[str]]:
    """Plot nine designs between two FLOP counts; return the number of ticks and their labels."""

    def at(n: int) -> Entry:
        flops = low + (high - low) * n / 8
        metrics = {"flops": Estimate(value=flops, low=flops, high=flops)}
        return replace(front.entries[0], id=f"{n:012x}", trial=n, feasible=False, metrics=metrics)

    nine = replace(front, entries=tuple(map(at, range(9))))
    lines = shown(TerminalPlot(nine, y="trial"), width)
    below = next(i for i, line in enumerate(lines) if "└" in line) + 1
    return lines[below - 1].count("┴"), re.split(" {2,}", lines[below].strip())


@pytest.mark.parametrize("width", range(30, 60))
def test_long_tick_labels_are_left_out(baseline_only: Front, width: int) -> None:
    marks, ticks = ticks_between(1_825_352.5, 1_825_426.3, baseline_only, width)
    assert marks == len(ticks) >= 1
    assert all(re.fullmatch(r"1\.825\d\d? M", tick) for tick in ticks)


def test_a_long_tick_label_at_the_edge_is_kept(baseline_only: Front) -> None:
    assert ticks_between(0.00349133, 2.81536, baseline_only, 36) == (2, ["0.00349133", "2.81536"])


def test_a_wide_terminal_is_not_filled(two: Front) -> None:
    assert max(map(len, shown(TerminalPlot(two), 300))) == 100


def test_an_unknown_metric_is_rejected_at_construction(two: Front) -> None:
    with pytest.raises(DsxError, match=r"no metric called 'flop' .* mean 'flops'"):
        TerminalPlot(two, x="flop")


def test_one_point_and_equal_points(baseline_only: Front, two: Front) -> None:
    (knee,) = [line for line in canvas(shown(TerminalPlot(baseline_only), 60)) if "★" in line]
    assert 25 < knee.index("★") < 40
    assert shown(TerminalPlot(baseline_only))[-1] == "★ knee, the baseline"
    same = {name: Estimate(value=1.0, low=1.0, high=1.0) for name in two.objectives}

    def level(entry: Entry) -> Entry:
        return replace(entry, metrics=same)

    equal = replace(two, entries=tuple(map(level, two.entries)))
    drawn = "".join(canvas(shown(TerminalPlot(equal))))
    assert drawn.count("★") == 1 and "●" not in drawn


def test_infinite_and_missing_points_are_left_out(incomplete: Front) -> None:
    lines = shown(TerminalPlot(incomplete, x="trial", y="latency_ms"))
    assert "#1" not in "".join(canvas(lines))


def test_a_message_replaces_an_empty_plot(two: Front) -> None:
    empty = replace(two, entries=())
    assert shown(TerminalPlot(empty)) == ["Nothing to plot: no design has both flops and accuracy."]


def test_a_pipe_gets_no_control_codes_and_ascii_where_needed(two: Front) -> None:
    assert "\x1b" not in "".join(shown(TerminalPlot(two)))
    lines = shown(TerminalPlot(two), encoding="ascii")
    assert lines[-2] == "* knee  B baseline (uncertain)  o front  ? front (uncertain)  . dominated"
    assert "".join(lines).isascii()


def test_uncertain_membership_is_hollow(three: Front, one: Front) -> None:
    drawn = "".join(canvas(shown(TerminalPlot(three))))
    assert {mark: drawn.count(mark) for mark in "●○◦◇"} == {"●": 2, "○": 2, "◦": 1, "◇": 1}
    assert "#5" not in drawn
    lines = shown(TerminalPlot(three), 60)
    assert lines[-2:] == [
        "★ knee  ◇ baseline (uncertain)  ● front  ○ front (uncertain)",
        "◦ dominated (uncertain)  · dominated  x infeasible",
    ]
    assert "☆ knee (uncertain)" in shown(TerminalPlot(one))[-2]
