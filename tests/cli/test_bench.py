"""dsx bench: the list of benchmarks, and one benchmark from the command line."""

from pathlib import Path

import pytest

from dsx.bench import Bench
from dsx.lookup import find
from tests.cli.running import dsx, one_line

OWN = """
from dsx.bench import Bench

BENCH = Bench(
    measures="a benchmark outside of dsx",
    run=lambda quick, report: [{"measured": "nothing" if quick else "a part"}],
    full=lambda report: [{"measured": "everything"}],
)
"""


def test_without_a_name_the_benchmarks_are_listed(tmp_path: Path) -> None:
    document = dsx("bench", "--json", folder=tmp_path).json
    assert document["schema_version"] == 2
    assert "train" in [row["bench"] for row in document["benchmarks"]]
    table = dsx("bench", folder=tmp_path)
    assert (table.code, table.err) == (0, "")
    assert table.out.split()[:3] == ["bench", "measures", "conv"]


def test_an_unknown_benchmark_is_reported(tmp_path: Path) -> None:
    refusal = one_line(dsx("bench", "trian", folder=tmp_path), 2)
    allowed = "allowed: conv, latency, networks, search, train"
    assert refusal == f"no bench called 'trian' ({allowed}). Did you mean 'train'?"


def test_a_comparison_is_a_sentence() -> None:
    row = {
        "training": "digits", "dsx": "float32, channels last",
        "against": "bare loop, same settings",
        "times_as_fast": 1.02, "low": 0.99, "high": 1.05, "goal": ">= 0.95", "met": "yes",
        "images_per_s": 819, "its_images_per_s": 803,
    }  # fmt: skip
    describe = find(Bench, "train").describe
    assert describe is not None
    assert describe(row) == (
        "digits: dsx (float32, channels last) is 1.02 (0.99 to 1.05) times as fast as bare loop, "
        "same settings: 819 against 803 images/s; goal >= 0.95: met"
    )
    assert describe({**row, "met": "no"}).endswith("missed")


def test_only_a_benchmark_with_a_page_takes_one(tmp_path: Path) -> None:
    refusal = one_line(dsx("bench", "train", "--page", "a.md", folder=tmp_path), 2)
    assert refusal == "--page: the benchmark 'train' has no page"


def test_only_a_benchmark_with_further_cases_measures_all(tmp_path: Path) -> None:
    refusal = one_line(dsx("bench", "train", "--full", folder=tmp_path), 2)
    assert refusal == "--full: the benchmark 'train' has no further cases"


@pytest.mark.parametrize(
    ("options", "measured"),
    [([], "a part"), (["--quick"], "nothing"), (["--full"], "everything")],
)
def test_the_document_states_what_was_measured(
    options: list[str], measured: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    document = dsx("bench", "own:BENCH", "--json", *options, folder=tmp_path).json
    assert document["results"] == [{"measured": measured}]
    assert document["quick"] is ("--quick" in options)
    assert document["full"] is ("--full" in options)


def test_a_benchmark_is_run_in_full_or_as_a_quick_trial(tmp_path: Path) -> None:
    refusal = one_line(dsx("bench", "conv", "--full", "--quick", folder=tmp_path), 2)
    assert refusal == "--full: not allowed with --quick, which measures no case"


def test_a_file_of_the_user_is_not_replaced_and_nothing_is_measured(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "networks.md").write_text("# Mine\n")
    refusal = one_line(dsx("bench", "networks", folder=tmp_path), 2)
    assert refusal.startswith("--page: 'docs/networks.md' exists")
    assert (tmp_path / "docs" / "networks.md").read_text() == "# Mine\n"
