"""The table at every width: its content, and what is left out on narrow terminals."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from dsx.analysis import TrialState
from dsx.analysis.front import Entry, Front
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.front.table import FrontTable

WIDTHS = (30, 40, 60, 80, 100, 120, 200)


def shown(front: Front, width: int, encoding: str = "utf-8", complete: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(file=file, width=width, highlight=False)
    console.print(FrontTable(front=front, complete=complete))
    return raw.getvalue().decode(encoding)


def row(text: str, trial: int) -> str:
    """Find the line of a trial in the table, above the descriptions."""
    line, *_ = re.findall(rf"^.*#{trial}\b.*$", text, flags=re.MULTILINE)
    return str(line)


def all_over(front: Front, **changes: int | None) -> Front:
    def change(entry: Entry) -> Entry:
        return replace(entry, **changes) if entry.redesigned else entry  # type: ignore[arg-type]

    return replace(front, entries=tuple(change(entry) for entry in front.entries))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize(
    "name", ["two", "three", "four", "one", "baseline_only", "infeasible", "incomplete"]
)
def test_no_line_is_longer_than_the_terminal(
    name: str, complete: bool, width: int, request: pytest.FixtureRequest
) -> None:
    text = shown(request.getfixturevalue(name), width, complete=complete)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("complete", [False, True])
def test_no_objective_and_no_value_is_cut(four: Front, complete: bool, width: int) -> None:
    text = shown(four, width, complete=complete)
    for value in ("20.7 M", "90.1 ±0.4", "0.131 ±0.004", "61.0 k", "313.2 M", "93.4 ±0.4"):
        assert value in text
    for heading in ("flops", "latency ms", "accuracy %", "params"):
        assert heading in text
    assert ("peak memory MB" in text) is complete


def test_the_rows_of_a_summary(two: Front) -> None:
    lines = shown(two, 80).splitlines()
    assert lines[0].startswith("vgg16-3: knee #3 against the baseline: flops 76 % lower, accuracy")
    (header,) = (line for line in lines if "trial" in line)
    assert header.split() == ["trial", "role", "flops", "accuracy", "%"]
    order = [line.split("#")[1].split()[0] for line in lines[1:] if "#" in line]
    assert order == 2 * ["0", "3", "1", "7", "4", "2"]
    assert row("\n".join(lines[1:]), 3).split() == [
        "★", "#3", "knee", "74.5", "M", "24%", "93.0", "±0.4", "-0.4", "pt"
    ]  # fmt: skip
    assert lines[-1] == "5 of 9 designs on the front (3 certain), 1 more possible"
    legend = " ".join(lines[-5:])
    assert "★ knee" in legend and "○ front (uncertain)" in legend
    assert "◇ baseline, dominated (uncertain)" in legend and "flops in multiply-adds" in legend
    assert "device: Xeon, 1 thread, float32, batch 1" in lines


def test_the_complete_table_lists_the_front_and_the_possible_members(crowded: Front) -> None:
    few, every = shown(crowded, 200), shown(crowded, 200, complete=True)
    assert sum(line.startswith("◦") for line in few.splitlines()) == 0
    assert sum(line.startswith("◦") for line in every.splitlines()) == 14
    table = every.splitlines()[1:]
    listed = {int(n) for line in table for n in re.findall(r"^. +#(\d+)", line)}
    assert listed == {0, *(entry.trial for entry in (*crowded.on_front, *crowded.possible))}
    assert "477895" in every and "477895" not in few


def test_the_baseline_comes_first_without_ratios(three: Front) -> None:
    lines = shown(three, 100).splitlines()
    baseline = row("\n".join(lines[1:]), 0)
    assert baseline.startswith("◇")
    assert not lines[lines.index(baseline) + 1].strip()
    assert "pt" not in baseline and "%" not in baseline


def test_a_baseline_that_is_the_knee_has_both_marks(baseline_only: Front) -> None:
    text = shown(baseline_only, 80)
    assert row(text.partition("\n")[2], 0).startswith("★◆")
    assert "★ knee, the baseline" in text


def test_ratios_are_left_out_before_values_with_a_note(three: Front) -> None:
    wide, narrow = shown(three, 80), shown(three, 54)
    note = "do not fit in this width"
    assert "39%" in wide and note not in wide
    assert "39%" not in narrow and note in " ".join(narrow.split())


def test_roles_are_stacked_before_ratios_are_left_out(three: Front) -> None:
    lines = shown(three, 76).splitlines()
    assert any(line.split()[:3] == ["●", "#1", "best"] for line in lines)
    assert "39%" in row("\n".join(lines[1:]), 4)


def test_metrics_that_do_not_fit_continue_in_a_second_table(four: Front) -> None:
    headings = [line.split() for line in shown(four, 50).splitlines() if "trial" in line]
    assert headings == [
        ["trial", "role", "flops", "latency", "ms"],
        ["trial", "role", "accuracy", "%", "params"],
    ]


def test_narrow_terminals_leave_out_roles_with_a_note(three: Front) -> None:
    text = shown(three, 30)
    assert "role" not in text
    assert "the other columns do not fit in this width" in " ".join(text.split())


def test_long_descriptions_are_cut(two: Front) -> None:
    entries = tuple(replace(entry, description="code; " * 40) for entry in two.entries)
    cut = [line for line in shown(replace(two, entries=entries), 80).splitlines() if "code" in line]
    assert len(cut) == 6
    assert all(line.endswith("...") and len(line) == 80 for line in cut)


def test_dense_forms_are_counted_with_a_warning_if_all_are_dense(two: Front) -> None:
    warning = "All redesigned slots are deployed in their dense form"
    assert warning not in shown(two, 80)
    assert warning in shown(all_over(two, fallbacks=4), 80)
    undeployed = shown(all_over(two, fallbacks=None), 200, complete=True)
    assert warning not in undeployed
    assert "dense" in undeployed  # the baseline is deployed, with nothing to fall back
    assert "1/4" not in undeployed
    assert "1/4" in shown(two, 200, complete=True)
    nothing = tuple(replace(entry, fallbacks=None) for entry in two.entries)
    assert "dense" not in shown(replace(two, entries=nothing), 200, complete=True)


def test_a_study_without_a_feasible_design(infeasible: Front) -> None:
    text = shown(infeasible, 80)
    assert "0 of 1 designs on the front" in text
    assert text.startswith("vgg16-3: No design meets the constraints.")
    assert "★" not in text and "◆" not in text


def test_missing_and_infinite_numbers(incomplete: Front) -> None:
    text = shown(incomplete, 120, complete=True).partition("\n")[2]
    assert "inf" in row(text, 1)
    assert re.search(r"94\.0 ±inf +0\.287 ±0\.009 +-  +-  ", row(text, 2))
    assert " pt " not in text


def test_a_pipe_gets_no_control_codes_and_ascii_where_needed(three: Front) -> None:
    assert "\x1b" not in shown(three, 80)
    text = shown(three, 80, "ascii")
    assert text.isascii()
    table = text.partition("\n")[2]
    assert row(table, 4).startswith("*") and row(table, 0).startswith("B")
    assert "+-0.005" in text


def test_no_color_is_respected(three: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = io.StringIO()
    Console(file=coloured, width=80, force_terminal=True).print(FrontTable(front=three))
    assert re.search(r"\x1b\[1;36m", coloured.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    Console(file=plain, width=80, force_terminal=True).print(FrontTable(front=three))
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", plain.getvalue())


def test_certain_and_uncertain_members_have_different_marks(three: Front) -> None:
    text = shown(three, 100, complete=True).partition("\n")[2]
    marks = {trial: row(text, trial)[0] for trial in (0, 1, 2, 3, 4, 5, 7)}
    assert marks == {1: "●", 4: "★", 3: "●", 2: "○", 7: "○", 5: "◦", 0: "◇"}
    lines = text.splitlines()
    assert not lines[lines.index(row(text, 5)) - 1].strip()
    assert "◦ dominated (uncertain)" in text
    assert [text.index(f"#{trial} ") for trial in (1, 2, 7, 5)] == sorted(
        text.index(f"#{trial} ") for trial in (1, 2, 7, 5)
    )
    chances = {trial: re.search(r"(> 99|< 1|\d+) %", row(text, trial)) for trial in (1, 2, 5)}
    assert [found and found[0] for found in chances.values()] == [
        "> 99 %",
        f"{100 * three.probability[three.entries[2].id]:.0f} %",
        f"{100 * three.probability[three.entries[5].id]:.0f} %",
    ]
    assert "P(front): probability of being on the front" in text
    assert "P(front)" not in shown(three, 100)


def test_exact_objectives_have_no_marks_of_certainty(two: Front) -> None:
    def sharp(entry: Entry) -> Entry:
        accuracy = entry.metrics["accuracy"].value
        exact = replace(entry.metrics["accuracy"], low=accuracy, high=accuracy)
        return replace(entry, metrics={**entry.metrics, "accuracy": exact})

    text = shown(replace(two, entries=tuple(map(sharp, two.entries))), 100)
    assert text.endswith("\n5 of 9 designs on the front\n")
    assert not set("●○◦◇☆±") & set(text)


def test_an_uncertain_knee(one: Front) -> None:
    assert row(shown(one, 80).partition("\n")[2], 7).startswith("☆")
    assert "☆ knee (uncertain); ◇" in shown(one, 80)


def test_means_over_seeds_and_flags_are_explained(flagged_front: Front) -> None:
    text = " ".join(shown(flagged_front, 80).split())
    assert "means over seeds: #4 (3), #3 (3)" in text
    assert "0.131 ±0.004~!" in text
    assert "~ time budget exhausted" in text and "! measured while other processes" in text


def test_the_device_of_each_design(flagged_front: Front, three: Front) -> None:
    text = shown(flagged_front, 120).partition("\n")[2]
    assert row(text, 4).split()[1:4] == ["#4", "knee", "2"]
    assert row(text, 1).split()[1:4] == ["#1", "best", "flops"]
    assert "device 2: EPYC" in text
    assert " device " not in shown(three, 120).splitlines()[1]


OUTCOMES = Outcomes(
    counts={TrialState.COMPLETE: 9, TrialState.FAILED: 2, TrialState.REPEATED: 4},
    complete=8,
    failed=2,
    failures=(Reason(text="KeyError: [bold]\n", trials=(3, 11)),),
)


def test_why_candidates_failed_is_below_the_front(two: Front) -> None:
    lines = shown(replace(two, outcomes=OUTCOMES), 120).splitlines()
    assert "2 candidates failed: 2 x KeyError: [bold] (first: #3)" in lines
    assert "trials: 9 completed, 2 failed, 4 repeated" in lines


def test_a_front_of_a_failed_baseline_has_its_reason(two: Front) -> None:
    outcomes = Outcomes(baseline_failure="training diverged")
    text = shown(replace(two, entries=(), outcomes=outcomes), 120)
    assert "because the baseline failed: training diverged." in text
