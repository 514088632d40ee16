"""Where a search stands: lines without a terminal, a summary in the end."""

import dataclasses

import pytest

from dsx.report.progress import LINES, SearchProgress, summary, working
from dsx.study.run import Progress


def at(complete: int, trials: int, doing: str = "training", **counts: int) -> Progress:
    return Progress(
        study="s",
        complete=complete,
        trials=trials,
        counts={"complete": complete, **counts},
        front=min(complete, 3),
        doing=doing,
    )


@pytest.mark.parametrize("trials", [1, 7, 60, 1000])
def test_without_a_terminal_a_few_lines_are_enough(
    trials: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with SearchProgress() as progress:
        for complete in range(trials + 1):
            for doing in ("drawing", "counting", "training"):
                progress.report(at(complete, trials, doing))
        progress.report(at(trials, trials, "finished", rejected=4))
    out, err = capsys.readouterr()
    assert out == ""
    first, *lines, last, end = err.splitlines()
    assert first == f"0/{trials} designs, 0 on the front"
    assert last == f"{trials}/{trials} designs, {min(trials, 3)} on the front"
    assert end == f"finished: {trials} measured to the end, 4 rejected by a constraint"
    assert len(lines) == min(trials, LINES) - 1
    assert "\x1b" not in err


def test_a_study_that_has_more_than_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress() as progress:
        progress.report(at(9, 3, "finished"))
    assert capsys.readouterr().err == (
        "9/3 designs, 3 on the front\nfinished: 9 measured to the end\n"
    )


def test_after_an_error_there_is_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), SearchProgress() as progress:
        progress.report(at(1, 3))
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "1/3 designs, 1 on the front\n"


def test_nothing_begun_is_nothing_said(capsys: pytest.CaptureFixture[str]) -> None:
    with SearchProgress():
        pass
    assert capsys.readouterr() == ("", "")


def test_a_summary_counts_what_became_of_the_draws() -> None:
    counts = {"failed": 1, "repeated": 2, "interrupted": 3, "rejected": 0, "running": 1}
    assert summary(at(4, 8, "time is up", **counts)) == (
        "time is up: 4 measured to the end, 1 failed, 2 drawn again, 3 interrupted"
    )


@pytest.mark.parametrize(
    ("marked", "many"), [(1, "1 latency that matters is"), (7, "7 latencies that matter are")]
)
def test_a_summary_says_what_is_to_be_measured_again(marked: int, many: str) -> None:
    progress = dataclasses.replace(at(4, 4, "finished"), marked=marked)
    assert summary(progress).splitlines() == [
        "finished: 4 measured to the end",
        f"{many} marked (a busy machine, or a wide interval): "
        "`dsx pareto s --settle 2m` measures again",
    ]


def test_a_summary_of_nothing_is_no_list() -> None:
    assert summary(at(0, 8, "time is up")) == "time is up: nothing was drawn"


def test_work_is_not_announced_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with working("exporting"):
        pass
    assert capsys.readouterr() == ("", "")
