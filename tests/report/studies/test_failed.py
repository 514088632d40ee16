"""The failed trials of studies, as text, JSON and CSV."""

import csv
import io
import json

import pytest

from dsx.analysis.reasons import Reason
from dsx.report.studies.failed import MOST_TRIALS, print_failed
from dsx.store.studies.failed_trials import FailedStudy, FailedTrial

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 3\nTypeError: \x1b[2J3\n'


def study(trials: int, traceback: str = TRACEBACK) -> FailedStudy:
    return FailedStudy(
        name="s",
        trials=tuple(
            FailedTrial(
                study="s",
                number=number,
                design=f"{number:012}",
                description="6x crosses",
                reason=f"TypeError: {number}",
                traceback=traceback,
            )
            for number in range(1, trials + 1)
        ),
        reasons=(Reason(text="TypeError: 1", trials=tuple(range(1, trials + 1))),),
    )


def test_each_kind_is_printed_with_the_traceback_of_its_first_trial(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_failed([study(2)], "table", {})
    assert capsys.readouterr().out.splitlines() == [
        "s: 2 x TypeError: 1",
        "trials #1, #2; the first of them:",
        "  #1 (000000000001): 6x crosses",
        "  Traceback (most recent call last):",
        '    File "x.py", line 3',
        "  TypeError: \\x1b[2J3",
    ]


def test_only_the_first_of_many_trials_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_failed([study(MOST_TRIALS + 3, traceback="")], "table", {})
    out = capsys.readouterr().out
    assert "#9, #10 and 3 more; the first of them:\n" in out
    assert out.endswith("\n  no traceback is stored\n")


def test_json_contains_every_trial(capsys: pytest.CaptureFixture[str]) -> None:
    print_failed([study(12)], "json", {"storage": "x"})
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["storage"]) == (2, "x")
    assert len(document["failed"]) == 12
    assert document["failed"][1] == {
        "study": "s", "trial": 2, "design": "000000000002", "description": "6x crosses",
        "reason": "TypeError: 2", "traceback": TRACEBACK,
    }  # fmt: skip
    print_failed([study(12)], "csv", {})
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["trial"] for row in rows] == [str(number) for number in range(1, 13)]


@pytest.mark.parametrize(("name", "out"), [("table", "no failed trials\n"), ("csv", "")])
def test_a_study_without_failed_trials(
    name: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_failed([FailedStudy(name="s", trials=(), reasons=())], name, {})
    assert capsys.readouterr().out == out
