"""A front on stdout, messages on stderr."""

import csv
import io
import json

import pytest

from dsx.analysis.front import Front
from dsx.report.front.result import print_front, print_message
from dsx.report.front.rows import as_csv, as_json
from dsx.report.front.table import Hints


@pytest.fixture(params=[60, 80, 120])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    width = int(request.param)
    monkeypatch.setenv("COLUMNS", str(width))
    return width


def test_a_table_fits_and_names_what_is_not_listed(
    two: Front, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hints = Hints(everything="dsx pareto s --all", design="dsx show s --pick knee")
    print_front(two, "table", hints=hints)
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= columns
    assert out.startswith("vgg16-3: knee #3 against the baseline")
    for entry in two.on_front:
        assert f"#{entry.trial}" in out
    assert "knee" in out and "best accuracy" in out
    *_, tally, everything, design = out.splitlines()
    assert tally == "5 of 9 designs on the front (3 certain), 1 more possible"
    assert (everything.strip(), design.strip()) == (hints.everything, hints.design)
    assert "┤" not in out


def test_a_plot_follows_the_table_if_requested(
    two: Front, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_front(two, "table", plotted=True, x="params", y="flops")
    chosen, _ = capsys.readouterr()
    print_front(two, "table", plotted=True)
    usual, _ = capsys.readouterr()
    assert chosen != usual
    for out in (chosen, usual):
        assert max(map(len, out.splitlines())) <= columns
        assert "┤" in out


@pytest.mark.parametrize("name", ["infeasible", "baseline_only"])
def test_fronts_without_alternatives_have_a_table(
    name: str, request: pytest.FixtureRequest, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    front: Front = request.getfixturevalue(name)
    print_front(front, "table", plotted=True)
    out, _ = capsys.readouterr()
    assert ("No design meets the constraints." in out) == (name == "infeasible")
    assert ("knee" in out) == (name == "baseline_only")


def test_stdout_contains_only_json_or_csv(two: Front, capsys: pytest.CaptureFixture[str]) -> None:
    print_front(two, "json", plotted=True)
    out, _ = capsys.readouterr()
    assert out == as_json(two) + "\n"
    assert json.loads(out)["schema_version"] == 4
    print_front(two, "csv", plotted=True)
    out, _ = capsys.readouterr()
    assert out == as_csv(two)
    assert len(list(csv.DictReader(io.StringIO(out)))) == len(two.entries)


def test_messages_go_to_stderr_without_line_breaks(
    columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Next: dsx pareto [a] --storage 'sqlite:///a/very/long/path/that/goes/on/and/on.db' " * 2
    print_message(text)
    assert capsys.readouterr() == ("", text + "\n")
