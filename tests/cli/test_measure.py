"""dsx measure: one design in every format, from a space or a study, and invalid input."""

import re
from pathlib import Path

import pytest

from tests.cli.running import INTERRUPT, dsx, one_line, start, until
from tests.search.looking import measured
from tests.search.spaces import STATIC, TIMED, varied

CROSS = "stages.2=kernel_shape:cross"
COUNTED = ("--metric", "params", "--metric", "flops")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space whose networks are timed quickly."""
    budget = "data: digits\nmeasure: {budget_seconds: 0.05}"
    return varied(TIMED, tmp_path_factory.mktemp("space"), "data: digits", budget)


def test_a_design_and_the_baseline(space: Path, tmp_path: Path) -> None:
    ended = dsx("measure", space, CROSS, folder=tmp_path)
    title, header, *lines = ended.out.splitlines()
    assert (ended.code, title[:7]) == (0, "timed: ")
    assert title.startswith("timed: 2x cross; 5x keep (")
    assert header.split() == ["metric", "this", "design", "baseline", "ratio", "measured"]
    # Counts of the deployed network are shown if they differ from those of the design.
    names = [name for line in lines if (name := line.split()[0]) != "deployed"]
    assert names[:5] == ["flops", "params", "bits", "latency", "peak"]
    document = dsx("measure", space, CROSS, "--json", folder=tmp_path).json
    assert document["schema_version"] == 2
    assert document["spec"]["stages.2.conv1"] == {"kernel_shape": "cross"}
    assert document["outside"] == []
    rows = document["metrics"]
    assert all(row["stored"] and row["baseline_stored"] for row in rows)
    params = next(row for row in rows if row["metric"] == "params")
    assert params["ratio"] == params["value"] / params["baseline_value"] < 1


def test_slots_are_rows(space: Path, tmp_path: Path) -> None:
    ended = dsx("profile", space, CROSS, "--json", folder=tmp_path)
    rows = ended.json["layers"]
    assert [row["slot"] for row in rows[-2:]] == ["stages.2.conv2", "outside slots"]
    assert ended.json["design_pass"]["ms"] == pytest.approx(sum(row["ms"] for row in rows))
    assert rows[-2]["baseline_form"] == "conv" != rows[-2]["form"]


def test_backends_are_a_section_of_every_format(space: Path, tmp_path: Path) -> None:
    words = ("measure", space, "--backend", "eager, eager", *COUNTED)
    document = dsx(*words, "--json", folder=tmp_path).json
    assert [row["metric"] for row in document["metrics"]] == ["flops", "params"]
    assert [row["backend"] for row in document["backends"]] == ["eager"]
    metrics, backends = dsx(*words, "--format", "csv", folder=tmp_path).out.split("\n\n")
    assert metrics.startswith("metric,unit,")
    assert backends.startswith("backend,value,")
    table = dsx(*words, folder=tmp_path).out
    assert table.index("params") < table.index("eager  ")


def test_a_space_is_given_by_position_or_by_option(tmp_path: Path) -> None:
    by_position, by_option = (
        dsx("measure", *words, *COUNTED, "--json", folder=tmp_path).json
        for words in ([STATIC], ["--space", STATIC])
    )
    assert by_option["metrics"][0]["value"] == by_position["metrics"][0]["value"]


def test_more_threads_than_cores_are_reported(tmp_path: Path) -> None:
    ended = dsx("measure", STATIC, "--threads", "1000", *COUNTED, folder=tmp_path)
    said = r"note: 1000 threads on (one core|\d+ cores): [^\n]*\n"
    assert ended.code == 0
    assert re.fullmatch(said, ended.err)
    assert dsx("measure", STATIC, "--threads", "1", *COUNTED, folder=tmp_path).err == ""


def test_a_design_outside_of_the_space_is_measured_and_reported(tmp_path: Path) -> None:
    ended = dsx("measure", STATIC, "stem=kernel_shape:cross", *COUNTED, folder=tmp_path)
    assert (ended.code, ended.err) == (
        0, "note: the design is outside of the space, in the slots stem.0\n",
    )  # fmt: skip


def test_a_design_of_a_study(used: Path) -> None:
    front = dsx("pareto", "static", "--json", folder=used).json
    design = front["designs"][1]
    words = ("measure", "--study", "static", "--pick", "#1", "--json", *COUNTED)
    pick = f"#{design['trial']}"
    found = dsx(*(pick if word == "#1" else word for word in words), folder=used).json
    assert (found["design"], found["study"], found["trial"]) == (
        design["id"], "static", design["trial"],
    )  # fmt: skip
    for row in found["metrics"]:
        assert (row["stored"], row["value"]) == (True, design["metrics"][row["metric"]]["value"])
    kept = ("measure", "--study", "static", "stages=keep", "--json", *COUNTED)
    assert dsx(*kept, folder=used).json["design"] == front["baseline"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["digts"], "no search space called 'digts' (allowed: "),
        (["stages=cross"], "'stages=cross': 'cross' is not a setting (allowed: keep"),
        (
            ["--metric", "accuracy"],
            "--metric: accuracy of the baseline is known only after ",
        ),
        (["--dtype", "float16"], "Invalid value for '--dtype': "),
        (["--pick", "knee"], "no database at sqlite:///studies/dsx.db; `dsx search` creates one"),
        (["digits", "--study", "x"], "no database at sqlite:///studies/dsx.db"),
        (["digits", "--space", "v.yaml"], "--space: the space is given twice: 'digits' and 'v"),
        (["--backend", "eagr", *COUNTED], "--backend: no backend called 'eagr'"),
    ],
)
def test_invalid_input_is_one_line(words: list[str], problem: str, tmp_path: Path) -> None:
    assert one_line(dsx("measure", *words, folder=tmp_path), 2).startswith(problem)


def test_ctrl_c_keeps_the_measurements(tmp_path: Path) -> None:
    running = start("measure", "digits", "--batch", 512, folder=tmp_path)
    until(lambda: "measuring latency_ms" in running.err, "timing has started")
    running.signal(INTERRUPT)
    ended = running.wait()
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.endswith("To resume: dsx measure digits --batch 512\n")
    kept = {metric for _, metric, _ in measured(f"sqlite:///{tmp_path}/studies/dsx.db")}
    assert kept == {"bits", "flops", "params", "deployed_flops", "deployed_params"}
