"""Progress of a search: lines without a terminal, and a summary at the end."""

import dataclasses
import math
import re
import time

import pytest

from dsx.activity import Activity, End, Event, Kind, activity, each, subject
from dsx.analysis import TrialState
from dsx.report.text.progress import (
    LINES,
    SearchProgress,
    describe,
    duration,
    flagged_note,
    summary,
    working,
)
from dsx.search.loop import Progress

DATED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)


def undated(text: str) -> str:
    """Remove the dates of the lines."""
    return DATED.sub("", text)


def ended(end: End) -> Event:
    return Event(kind=Kind.ENDED, end=end)


TRAINING = Event(kind=Kind.TRAINING)


def at(complete: int, trials: int, event: Event = TRAINING, **counts: int) -> Progress:
    return Progress(
        study="s",
        complete=complete,
        trials=trials,
        counts={TrialState.COMPLETE: complete} | {TrialState(n): c for n, c in counts.items()},
        front=min(complete, 3),
        event=event,
    )


@pytest.mark.parametrize("trials", [1, 7, 60, 1000])
def test_without_a_terminal_a_few_lines_are_enough(
    trials: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with SearchProgress() as progress:
        for complete in range(trials + 1):
            for kind in (Kind.SAMPLING, Kind.COUNTING, Kind.TRAINING):
                progress.report(at(complete, trials, Event(kind=kind)))
        progress.report(at(trials, trials, ended(End.FINISHED), rejected=4))
    out, err = capsys.readouterr()
    assert out == ""
    *dated, _ = err.splitlines()
    assert all(DATED.match(line) for line in dated)
    first, *lines, last, end = undated(err).splitlines()
    assert first == f"0/{trials} designs, 0 on the front"
    assert last == f"{trials}/{trials} designs, {min(trials, 3)} on the front"
    assert end == f"finished: {trials} completed, 4 rejected by a constraint"
    assert len(lines) == min(trials, LINES) - 1
    assert "\x1b" not in err


def test_a_study_with_more_designs_than_requested(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress() as progress:
        progress.report(at(9, 3, ended(End.FINISHED)))
    assert undated(capsys.readouterr().err) == (
        "9/3 designs, 3 on the front\nfinished: 9 completed\n"
    )


def test_after_an_error_there_is_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), SearchProgress() as progress:
        progress.report(at(1, 3))
        raise KeyboardInterrupt
    assert undated(capsys.readouterr().err) == "1/3 designs, 1 on the front\n"


def test_a_search_that_did_not_start_has_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress():
        pass
    assert capsys.readouterr() == ("", "")


def test_a_summary_counts_the_trials_by_state() -> None:
    counts = {"failed": 1, "repeated": 2, "interrupted": 3, "rejected": 0, "running": 1}
    assert summary(at(4, 8, ended(End.TIMEOUT), **counts)) == (
        "time budget exhausted: 4 completed, 1 failed, 2 repeated, 3 interrupted"
    )


@pytest.mark.parametrize(
    ("flagged", "start"),
    [(1, "1 Pareto-relevant latency is"), (7, "7 Pareto-relevant latencies are")],
)
def test_flagged_latencies_are_counted(flagged: int, start: str) -> None:
    with SearchProgress() as progress:
        assert progress.flagged == 0
        progress.report(dataclasses.replace(at(4, 4, ended(End.FINISHED)), flagged=flagged))
    assert progress.flagged == flagged
    assert flagged_note(flagged).startswith(f"{start} flagged")


def test_a_summary_without_trials() -> None:
    assert summary(at(0, 8, ended(End.TIMEOUT))) == "time budget exhausted: no trials"


def test_short_work_is_not_announced_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with working("exporting"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.timing
def test_long_work_is_announced_in_a_pipe_less_and_less_often(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        working("exporting", first_seconds=0.02),
        subject("#5"),
        activity(Kind.TRAINING, 30, "epoch"),
    ):
        err, end = "", time.monotonic() + 60
        while err.count("\n") < 3 and time.monotonic() < end:
            time.sleep(0.01)
            err += capsys.readouterr().err
    # The outer activity takes long a moment before the inner one does.
    *_, second, third = undated(err).splitlines()[:3]
    assert second == third == "training #5, epoch 1 of 30"
    assert all(DATED.match(line) for line in err.splitlines())


@pytest.mark.timing
def test_work_of_many_short_steps_is_announced_less_and_less_often(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, start = 0.1, time.monotonic()
    with working("starting", first_seconds=first):
        for _ in each(range(20), Kind.TIMING, "slot"):
            with activity(Kind.DEPLOYING):
                time.sleep(first / 2)
    lines = undated(capsys.readouterr().err).splitlines()
    outer = [line for line in lines if line.startswith("timing, slot ")]
    # After 1, 3, 7, 15, ... times the first interval.
    most = math.log2((time.monotonic() - start) / first + 1)
    assert 1 <= len(outer) <= most


def test_on_a_terminal_there_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with working("exporting"), activity(Kind.DECODING_IMAGES, 10, "image") as step:
        step.advance(5)
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "decoding images, image 6 of 10" in err
    assert "━" in err


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Activity(event=Event(kind=Kind.DEPLOYING)), "deploying"),
        (
            Activity(event=Event(kind=Kind.TRAINING), total=30, unit="epoch"),
            "training, epoch 1 of 30",
        ),
        (
            Activity(event=Event(kind=Kind.TRAINING), total=30, unit="epoch", done=2.5),
            "training, epoch 3 of 30",
        ),
        (
            Activity(event=Event(kind=Kind.TRAINING), total=30, unit="epoch", done=30),
            "training, epoch 30 of 30",
        ),
        (Activity(event=Event(kind=Kind.TIMING), total=3, done=1), "timing, 33%"),
        (Activity(event=Event(kind=Kind.TIMING), total=0, done=0), "timing"),
        (
            Activity(event=Event(kind=Kind.DECODING_IMAGES), total=0, unit="image"),
            "decoding images, image 0 of 0",
        ),
    ],
)
def test_an_activity_is_described(step: Activity, line: str) -> None:
    assert describe(step) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (740, "12 min"), (5399, "90 min"), (12600, "3.5 h")],
)
def test_durations_have_a_suitable_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_description_contains_no_control_codes_and_no_password() -> None:
    step = Activity(
        event=Event(kind=Kind.WAITING_FOR_SERVER, detail="\x1b[31m postgresql://u:s3cret@h/d")
    )
    assert describe(step) == r"waiting for \x1b[31m postgresql://u:***@h/d"


def test_failures_are_reported_even_if_no_design_is_completed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SearchProgress() as progress:
        for failed in range(6):
            progress.report(at(1, 3, failed=failed))
    *lines, _ = undated(capsys.readouterr().err).splitlines()
    assert lines == [
        "1/3 designs, 1 on the front",
        *(f"1/3 designs, 1 on the front, {failed} failed" for failed in (1, 2, 4)),
    ]
