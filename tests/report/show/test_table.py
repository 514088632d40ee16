"""One design as tables, JSON and CSV."""

import csv
import dataclasses
import io
import json

import pytest

from dsx.report.show.rows import ShownDesign
from dsx.report.show.table import print_design


def printed(shown: ShownDesign, format: str, capsys: pytest.CaptureFixture[str]) -> str:
    print_design(shown, format)
    return capsys.readouterr().out


def test_the_tables_fit_80_columns(
    knee: ShownDesign, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    heading, _, _, *lines = printed(knee, "table", capsys).splitlines()
    assert heading.startswith(f"digits (space digits): #{knee.entry.trial} ({knee.entry.id}), knee")
    tables = [line for line in lines if "  " in line]
    assert max(map(len, tables)) <= 80
    slot = next(line for line in lines if line.startswith("stages.1.conv1"))
    assert slot.split()[1:4] == ["32->64", "3x3", "/2"]
    assert "74%" in next(line for line in lines if line.startswith("latency"))


def test_equal_neighbours_share_a_line(
    knee: ShownDesign, capsys: pytest.CaptureFixture[str]
) -> None:
    assert knee.slots is not None
    rows = knee.slots.rows
    twice = dataclasses.replace(knee.slots, rows=(rows[0], rows[1], rows[1], rows[2]))
    lines = printed(dataclasses.replace(knee, slots=twice), "table", capsys).splitlines()
    assert [line.split()[:2] for line in lines[4:7]] == [
        ["stem.0", "1->32"],
        ["stages.0.conv1", "x2"],
        ["stages.0.conv2", "32->32"],
    ]


def test_json_contains_all_sections(knee: ShownDesign, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(knee, "json", capsys))
    assert (document["study"], document["design"]["id"]) == ("digits", knee.entry.id)
    assert len(document["slots"]) == 7
    assert {row["metric"] for row in document["metrics"]} == set(knee.entry.metrics)
    assert len(document["measurements"]) == 6
    assert document["notes"] == []


def test_csv_has_a_table_for_each_section(
    knee: ShownDesign, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = printed(knee, "csv", capsys).split("\n\n")
    metrics, measurements, slots = (list(csv.DictReader(io.StringIO(each))) for each in sections)
    assert (len(metrics), len(measurements), len(slots)) == (5, 6, 7)
    assert json.loads(measurements[1]["provenance"])["timing"]["clock"] == "thread"


def test_without_the_network_everything_else_is_shown(
    baseline: ShownDesign, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "FILE with your space file" in printed(baseline, "table", capsys)
    document = json.loads(printed(baseline, "json", capsys))
    assert (document["slots"], len(document["notes"])) == ([], 1)
    assert len(printed(baseline, "csv", capsys).split("\n\n")) == 2
