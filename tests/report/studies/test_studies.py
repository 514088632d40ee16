"""The list of the studies of a database."""

import csv
import io
import json
from datetime import datetime

import pytest

from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.studies.studies import print_studies
from dsx.store.studies.studies import StudySummary

FAILED = Outcomes(failed=2, failures=(Reason(text="KeyError: 3", trials=(1, 4)),))
FAILURES = [{"reason": "KeyError: 3", "count": 2, "first": 1, "trials": [1, 4]}]


def line(name: str, outcomes: Outcomes) -> StudySummary:
    return StudySummary(
        name=name, space="t", created_at=datetime(2026, 1, 2), trials=7, complete=3,
        outcomes=outcomes, running="",
    )  # fmt: skip


def test_failures_are_listed_below_the_studies(capsys: pytest.CaptureFixture[str]) -> None:
    print_studies([line("a", Outcomes()), line("b", FAILED)], "table", {})
    header, _, _, note = capsys.readouterr().out.splitlines()
    assert header.split() == ["study", "space", "designs", "trials", "failed", "created", "running"]
    assert note == "b: All 2 candidates failed: 2 x KeyError: 3 (first: #1)"


def test_a_baseline_that_failed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Outcomes(baseline_failure="KeyError: 'base'")
    print_studies([line("a", Outcomes()), line("b", failed)], "table", {})
    header, _, _, note = capsys.readouterr().out.splitlines()
    assert header.split() == ["study", "space", "designs", "trials", "created", "running"]
    assert note == "b: The baseline failed: KeyError: 'base'"
    for format in ("json", "csv"):
        print_studies([line("a", Outcomes()), line("b", failed)], format, {})
        out = capsys.readouterr().out
        rows = json.loads(out)["studies"] if format == "json" else csv.DictReader(io.StringIO(out))
        assert [row["baseline_failure"] or None for row in rows] == [None, "KeyError: 'base'"]


def test_no_column_of_failures_if_nothing_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_studies([line("a", Outcomes())], "table", {})
    header, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["study", "space", "designs", "trials", "created", "running"]


def test_json_contains_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    print_studies([line("a", Outcomes()), line("b", FAILED)], "json", {"storage": "x"})
    document = json.loads(capsys.readouterr().out)
    assert document["storage"] == "x"
    assert [row["failures"] for row in document["studies"]] == [[], FAILURES]
    print_studies([line("a", Outcomes()), line("b", FAILED)], "csv", {})
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["failed"] for row in rows] == ["0", "2"]
    assert [json.loads(row["failures"]) for row in rows] == [[], FAILURES]


@pytest.mark.parametrize(("name", "out"), [("table", "no studies\n"), ("csv", "")])
def test_a_database_without_studies(
    name: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_studies([], name, {})
    assert capsys.readouterr().out == out
