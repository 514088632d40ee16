"""Plain rows as a table, JSON or CSV."""

import csv
import io
import json

import pytest
from rich.console import Console

from dsx.report.text.listing import listing, print_rows

ROWS = [
    {"name": "digits", "designs": 60, "share": 0.5, "running": "here:123"},
    {"name": "a much longer name of a study [with brackets]", "designs": 12345, "share": 1.25,
     "running": ""},
]  # fmt: skip


def test_json_contains_the_further_keys(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, "json", {"storage": "sqlite:///x"}, "studies")
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema_version": 2, "storage": "sqlite:///x", "studies": ROWS}


def test_csv_has_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, "csv", {"storage": "sqlite:///x"}, "studies")
    out = capsys.readouterr().out
    assert out.endswith("\n") and "\r" not in out
    assert list(csv.DictReader(io.StringIO(out))) == [
        {name: str(value) for name, value in row.items()} for row in ROWS
    ]


@pytest.mark.parametrize(("name", "out"), [("table", "no studies\n"), ("csv", "")])
def test_a_message_replaces_an_empty_table(
    name: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_rows([], name, {}, "studies")
    assert capsys.readouterr() == (out, "")


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_a_table_fits_and_loses_nothing(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, markup=False).print(listing(ROWS))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    together = "".join(out.getvalue().split())
    for word in ("digits", "60", "[with", "brackets]"):
        assert word in together


def test_numbers_are_right_aligned() -> None:
    out = io.StringIO()
    Console(file=out, width=120, markup=False).print(listing(ROWS))
    header, first, second = out.getvalue().splitlines()
    end = header.index("designs") + len("designs")
    assert (first[end - 2 : end], second[end - 6 : end]) == ("60", "12,345")
    assert header.index("name") == first.index("digits") == 0


def test_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, "table", {"storage": "x"}, "studies")
    assert capsys.readouterr().out.splitlines()[0].split() == list(ROWS[0])
