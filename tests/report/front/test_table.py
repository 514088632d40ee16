"""The table at every width: content, room, and what is given up for it."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from dsx.analysis.front import Entry, Front
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.front.table import FrontTable

WIDTHS = (30, 40, 60, 80, 100, 120, 200)


def shown(front: Front, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    Console(file=file, width=width, highlight=False).print(FrontTable(front))
    return raw.getvalue().decode(encoding)


def row(text: str, trial: int) -> str:
    (line,) = re.findall(rf"^.*#{trial}\b.*(?:\d M|\d ms|\d %|-).*$", text, flags=re.MULTILINE)
    return str(line)


def all_over(front: Front, **changes: int | None) -> Front:
    def change(entry: Entry) -> Entry:
        return replace(entry, **changes) if entry.redesigned else entry  # type: ignore[arg-type]

    return replace(front, entries=tuple(change(entry) for entry in front.entries))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["two", "three", "four", "one", "lone", "hopeless", "ragged"])
def test_no_line_is_longer_than_the_terminal(
    name: str, width: int, request: pytest.FixtureRequest
) -> None:
    text = shown(request.getfixturevalue(name), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_no_figure_is_broken(four: Front, width: int) -> None:
    text = shown(four, width)
    for figure in ("20.7 M", "90.1", "0.131", "61.0 k", "313.2 M", "93.4", "577.3 k"):
        assert figure in text
    for entry in four.on_front:
        assert f"#{entry.trial}" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_words_are_always_told(three: Front, width: int) -> None:
    text = " ".join(shown(three, width).split())
    words = ["depthwise,", "then", "overlap", "alive", "[rigid]", "turn"]
    assert all(word in text for word in words)


def test_wide(two: Front) -> None:
    lines = shown(two, 120).splitlines()
    assert lines[0] == (
        "vgg16-3 (space vgg16): 5 of 9 designs on the front (3 for certain), 1 more perhaps"
    )
    assert lines[1].split() == ["trial", "id", "flops", "accuracy", "params", "dense", "design"]
    order = [line.split("#")[1].split()[0] for line in lines if "#" in line]
    assert order == ["1", "4", "3", "2", "7", "0"]
    knee = row(shown(two, 120), 3)
    assert knee.split()[:8] == ["★", "#3", "4584e0", "74.5", "M", "24%", "93.0", "±0.4"]
    assert "-0.4 pt  160.3 k  28%    0/4  crosses, sliding window" in knee
    assert lines[-3].startswith(
        "★ knee; ● on the front; ○ perhaps on the front; ◇ baseline (dominated, perhaps not); % and"
    )
    assert "flops in multiply-adds" in " ".join(lines[-3:])
    assert lines[-1] == "device: Xeon, 1 thread, float32, batch 1"


def test_the_baseline_has_its_own_row_without_ratios(three: Front) -> None:
    baseline = row(shown(three, 100), 0)
    assert baseline.startswith("◇")
    lines = shown(three, 100).splitlines()
    assert not lines[lines.index(baseline) - 1].strip()
    assert "pt" not in baseline and "%  " in baseline and "100%" not in baseline


def test_a_baseline_that_is_the_knee_is_marked_as_both(lone: Front) -> None:
    text = shown(lone, 80)
    assert row(text, 0).startswith("★◆")
    assert "baseline (on the front)" in text


def test_what_is_given_up_in_turn(two: Front, three: Front) -> None:
    wide, half, narrow = shown(three, 120), shown(three, 80), shown(three, 60)
    assert "dense" in wide and "±" in wide and "477895" in wide and "39%" in wide
    assert "dense" not in half and "±" in half and "477895" in half and "39%" in half
    assert "±" not in narrow and "477895" not in narrow and "39%" in narrow
    between = shown(three, 72)
    assert "±" in between and "477895" not in between
    bare = shown(two, 32)
    assert "35.2 M" in bare and "92.1 %" in bare and "11%" not in bare
    assert "params" in shown(two, 80) and "params" not in shown(two, 60)


def test_objectives_that_do_not_fit_continue_below(four: Front) -> None:
    headings = [line.split() for line in shown(four, 40).splitlines() if "trial" in line]
    assert headings == [["trial", "flops", "latency", "accuracy"], ["trial", "params"]]


def test_words_move_below_when_they_would_make_a_tower(two: Front) -> None:
    assert " design " in shown(two, 120)
    entries = tuple(replace(entry, words="words " * 40) for entry in two.entries)
    assert " design " not in shown(replace(two, entries=entries), 120)


def test_dense_forms_are_told_and_a_useless_space_is_named(two: Front) -> None:
    warning = "All redesigned slots are deployed in their dense form"
    assert warning not in shown(two, 80)
    assert warning in shown(all_over(two, fallbacks=4), 80)
    undeployed = shown(all_over(two, fallbacks=None), 200)
    assert warning not in undeployed
    assert "dense" in undeployed  # the baseline is deployed, with nothing to fall back
    assert "1/4" not in undeployed
    nothing = tuple(replace(entry, fallbacks=None) for entry in two.entries)
    assert "dense" not in shown(replace(two, entries=nothing), 200)


def test_nothing_feasible_is_said(hopeless: Front) -> None:
    text = shown(hopeless, 80)
    assert "0 of 1 designs on the front" in text
    assert "No design meets the constraints." in text
    assert "★" not in text and "◆" not in text


def test_missing_and_infinite_numbers(ragged: Front) -> None:
    text = shown(ragged, 120)
    assert "inf ms" in row(text, 1)
    assert re.search(r"94\.0 ±inf %  +0\.287 ±0\.009 ms  +-  +-  ", row(text, 2))
    assert " pt " not in text


def test_a_pipe_gets_no_control_codes_and_ascii_where_needed(three: Front) -> None:
    assert "\x1b" not in shown(three, 80)
    text = shown(three, 80, "ascii")
    assert text.isascii()
    assert row(text, 4).startswith("*") and row(text, 0).startswith("B")
    assert "+-0.005 ms" in text


def test_no_color_is_respected(three: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = io.StringIO()
    Console(file=coloured, width=80, force_terminal=True).print(FrontTable(three))
    assert re.search(r"\x1b\[1;36m", coloured.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    Console(file=plain, width=80, force_terminal=True).print(FrontTable(three))
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", plain.getvalue())


def test_certain_and_perhaps_are_told_apart(three: Front) -> None:
    text = shown(three, 100)
    marks = {trial: row(text, trial)[0] for trial in (0, 1, 2, 3, 4, 5, 7)}
    assert marks == {1: "●", 4: "★", 3: "●", 2: "○", 7: "○", 5: "◦", 0: "◇"}
    lines = text.splitlines()
    # What is off the front stands apart, the baseline from all others.
    assert not lines[lines.index(row(text, 5)) - 1].strip()
    assert not lines[lines.index(row(text, 5)) + 1].strip()
    assert "◦ dominated, perhaps not" in text


def test_what_is_exact_says_nothing_of_certainty(two: Front) -> None:
    def sharp(entry: Entry) -> Entry:
        accuracy = entry.metrics["accuracy"].value
        exact = replace(entry.metrics["accuracy"], low=accuracy, high=accuracy)
        return replace(entry, metrics={**entry.metrics, "accuracy": exact})

    text = shown(replace(two, entries=tuple(map(sharp, two.entries))), 100)
    assert text.startswith("vgg16-3 (space vgg16): 5 of 9 designs on the front\n")
    assert not set("●○◦◇☆") & set(text)


def test_a_knee_may_be_perhaps_too(one: Front) -> None:
    assert row(shown(one, 80), 7).startswith("☆")
    assert "☆ knee, perhaps on the front; ◦" in shown(one, 80)


def test_of_many_perhaps_some_are_listed_and_the_rest_counted(crowd: Front) -> None:
    text = shown(crowd, 100)
    assert sum(line.startswith("◦") for line in text.splitlines()) == 10
    assert "4 more designs are perhaps on the front (the JSON output lists all)." in text


def test_below_the_table_words_tell_of_the_front_and_of_the_baseline_alone(three: Front) -> None:
    entries = tuple(replace(entry, words=f"words of {entry.trial}") for entry in three.entries)
    below = shown(replace(three, entries=entries), 80)
    assert "◦" in below and " design " not in below
    told = {int(trial) for trial in re.findall(r"words of (\d+)", below)}
    assert told == {0, 1, 2, 3, 4, 7}


def test_seeds_stand_beside_the_number_or_below(doubtful: Front) -> None:
    wide, narrow = shown(doubtful, 120), shown(doubtful, 80)
    assert "92.1 ±0.4 % of 3 seeds  -1.3 pt" in row(wide, 4)
    assert "means over seeds" not in wide
    assert "of 3 seeds" not in narrow
    assert "means over seeds: #4 (3), #3 (3)" in " ".join(narrow.split())
    assert "means over seeds: #4 (3)" in " ".join(shown(doubtful, 60).split())


def test_doubtful_numbers_are_marked_and_stay_in_line(doubtful: Front) -> None:
    text = shown(doubtful, 120)
    assert len({row(text, trial).index(" ms") for trial in (1, 2, 3, 4, 7, 0)}) == 1
    assert "ms~! " in row(text, 1) and "ms~  " in row(text, 2) and "ms   " in row(text, 3)
    said = " ".join(text.split())
    assert "~ the time was spent before the interval was narrow enough" in said
    assert "! measured while the machine was busy with other work" in said


def test_mixed_devices_are_numbered(doubtful: Front, three: Front) -> None:
    text = shown(doubtful, 120)
    assert row(text, 4).split()[1:4] == ["#4", "477895", "2"]
    assert row(text, 3).split()[1:4] == ["#3", "4584e0", "1"]
    assert "device 2: EPYC" in text
    assert " device " not in shown(three, 120).splitlines()[1]


OUTCOMES = Outcomes(
    counts={"complete": 9, "failed": 2, "repeated": 4},
    complete=8,
    failed=2,
    failures=(Reason(text="KeyError: [bold]\n", trials=(3, 11)),),
)


def test_why_candidates_failed_is_below_the_front(two: Front) -> None:
    lines = shown(replace(two, outcomes=OUTCOMES), 120).splitlines()
    assert "2 candidates failed: 2 x KeyError: [bold] (first: #3)" in lines
    assert "trials: 9 measured to the end, 2 failed, 4 drawn again" in lines


def test_a_front_of_a_failed_baseline_has_its_reason(two: Front) -> None:
    outcomes = Outcomes(baseline_failure="training diverged")
    text = shown(replace(two, entries=(), outcomes=outcomes), 120)
    assert "No design is completed, because the baseline failed: training diverged." in text
