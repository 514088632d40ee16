"""The time of a design by slot, as table, JSON and CSV."""

import csv
import io
import json

import pytest

from dsx.report.design.profile import print_layers
from tests.report.single import breakdown, crossed, space

FORMS = {"stages.0.conv1": "shifted"}


def printed(
    capsys: pytest.CaptureFixture[str], format: str, baseline_forms: dict[str, str] | None = None
) -> str:
    of = space()
    found = [breakdown(of, 0.01, FORMS), breakdown(of, 0.02, baseline_forms or {})]
    print_layers(of, crossed(of), found, format, {"outside": []})
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_rows_sum_to_the_total_and_fit(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, header, *lines = printed(capsys, "table").splitlines()
    assert header.split() == ["slot", "form", "ms", "share", "baseline", "ratio"]
    rows = [line.split() for line in lines[:9]]
    assert all(len(line.rstrip()) <= columns for line in (header, *lines[:9]))
    if columns == 80:
        assert rows[0] == ["stem.0", "conv", "0.0100", "2.8%", "0.0200", "50%"]
        assert rows[1] == ["stages.0.conv1", "x2", "shifted", "0.0200", "5.6%", "0.0400", "50%"]
        assert rows[7] == ["outside", "slots", "0.0800", "22.2%", "0.160", "50%"]
        assert rows[8] == ["total", "0.360", "100.0%", "0.720", "50%"]
    else:
        assert rows[0][2:4] == ["0.0100", "±0.0010"]
    assert lines[9].startswith("this design: a forward pass takes 0.360 ms; ")
    assert all(part in lines[9] for part in ("+2.0%", "100.0%", "50 passes"))
    assert "all slots of the baseline are deployed as conv" in lines


def test_forms_of_the_baseline_are_shown_if_it_has_any(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = printed(capsys, "table", {"stages.2.conv1": "grouped"})
    assert "baseline form" in out.splitlines()[1]
    row = next(line for line in out.splitlines() if line.startswith("stages.2.conv1"))
    assert row.split()[1:] == ["conv", "0.0600", "16.7%", "grouped", "0.120", "50%"]


def test_the_baseline_alone(capsys: pytest.CaptureFixture[str]) -> None:
    of = space()
    print_layers(of, of.baseline, [breakdown(of, 0.01, {})], "table", {})
    _, header, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["slot", "form", "ms", "share"]


def test_json_and_csv_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, "json"))
    rows = document["layers"]
    assert sum(row["ms"] for row in rows) == pytest.approx(document["design_pass"]["ms"])
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["baseline_share"] for row in rows) == pytest.approx(1)
    assert rows[1] == {
        "slot": "stages.0.conv1", "calls": 2, "form": "shifted", "baseline_form": "conv",
        "ms": 0.02, "low": pytest.approx(0.018), "high": pytest.approx(0.022),
        "baseline_ms": 0.04, "baseline_low": pytest.approx(0.036),
        "baseline_high": pytest.approx(0.044), "share": pytest.approx(2 / 36),
        "baseline_share": pytest.approx(2 / 36), "ratio": 0.5,
    }  # fmt: skip
    assert document["baseline_pass"]["plain_ms"] == pytest.approx(0.72)
    assert document["design_pass"]["passes"] == 50
    table = list(csv.DictReader(io.StringIO(printed(capsys, "csv"))))
    assert [row["slot"] for row in table] == [row["slot"] for row in rows]
