"""dsx pareto: the front in every format, on every terminal, and as a plot."""

import csv
import io
import re
from pathlib import Path

import pytest

from dsx import front
from tests.cli.running import dsx, on_terminal, one_line
from tests.search.spaces import TIMED


def test_json_has_the_keys_of_the_design(used: Path) -> None:
    document = dsx("pareto", "--json", folder=used).json
    assert document["schema_version"] == 4
    assert document["study"] == "tiny"
    assert document["objectives"] == {"accuracy": "maximize", "params": "minimize"}
    for design in document["designs"]:
        assert design.keys() >= {"id", "trial", "on_front", "metrics", "spec", "description"}
        assert design["membership"] in ("certain", "possible", "no")
        for name, value in design["metrics"].items():
            more = {"chance", "better_than_chance", "at_chance", "constant"}
            keys = {"value", "low", "high", "seeds", "readings", "converged", "noisy"}
            keys |= {"measurements"}
            assert value.keys() == (keys | more if name == "accuracy" else keys)


def test_the_formats_hold_the_same_designs(used: Path) -> None:
    found = front("tiny", storage=f"sqlite:///{used}/studies/dsx.db")
    document = dsx("pareto", "tiny", "--format", "json", folder=used).json
    table = csv.DictReader(io.StringIO(dsx("pareto", "--format", "csv", folder=used).out))
    assert [(design["id"], design["on_front"]) for design in document["designs"]] == [
        (entry.id, entry in found.on_front) for entry in found.entries
    ]
    assert [(row["id"], float(row["accuracy"])) for row in table] == [
        (entry.id, entry.metrics["accuracy"].value) for entry in found.entries
    ]


def test_all_lists_every_design_of_the_front(used: Path) -> None:
    found = front("tiny", storage=f"sqlite:///{used}/studies/dsx.db")
    ended = dsx("pareto", "tiny", "--all", folder=used)
    assert (ended.code, ended.err) == (0, "")
    assert all(f"#{entry.trial} " in ended.out for entry in (*found.on_front, *found.possible))
    assert "versions: " in ended.out and "versions: " not in dsx("pareto", "tiny", folder=used).out


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_it_fits_the_terminal(used: Path, columns: int) -> None:
    ended = dsx("pareto", folder=used, environment={"COLUMNS": str(columns)})
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= columns
    assert "★ knee" in ended.out or "☆ knee" in ended.out
    assert "\x1b" not in ended.out


def test_ascii_output_has_no_other_characters(used: Path) -> None:
    environment = {"PYTHONIOENCODING": "ascii"}
    for name in ("table", "json", "csv"):
        ended = dsx("pareto", "--format", name, folder=used, environment=environment)
        assert (ended.code, ended.err) == (0, ""), ended
        assert ended.out.isascii()


@pytest.mark.parametrize("no_color", [False, True])
def test_colours_respect_no_color(used: Path, no_color: bool) -> None:
    environment = {"NO_COLOR": "1"} if no_color else {}
    code, text = on_terminal("out", "pareto", folder=used, environment=environment)
    assert code == 0
    assert ("36m" in text) == (not no_color)


@pytest.mark.parametrize("name", ["front.html", "front.png", "front.svg"])
def test_a_plot_is_written_and_named(used: Path, tmp_path: Path, name: str) -> None:
    ended = dsx("pareto", "--plot", tmp_path / name, folder=used)
    assert (ended.code, ended.err) == (0, f"Wrote {tmp_path / name}\n")
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["tny"], "no study called 'tny' (allowed: static, tiny). Did you mean 'tiny'?"),
        (["--plot", "front.pgn"], "front.pgn: no plot format called '.pgn'"),
        (
            ["--plot", "nowhere/front.png"],
            "--plot: 'nowhere/front.png' cannot be written: ",
        ),
        (["--x", "acuracy"], "no metric called 'acuracy'"),
        (["--proxies"], "study 'tiny' has neither a timed metric"),
        (["nowhere/kept"], "'nowhere/kept' is not an archived study"),
        (
            ["--storage", "sqlite:///none.db"],
            "no database at sqlite:///none.db; `dsx search` creates",
        ),
    ],
)
def test_invalid_input_is_one_line(used: Path, arguments: list[str], problem: str) -> None:
    assert one_line(dsx("pareto", *arguments, folder=used), 2).startswith(problem)


def test_without_a_front_it_ends_with_1(tmp_path: Path) -> None:
    from tests.search.spaces import STATIC

    dsx("search", STATIC, "--trials", 1, folder=tmp_path)
    ended = dsx("pareto", folder=tmp_path)
    assert (ended.code, ended.err) == (1, "No design meets the constraints.\n")
    assert dsx("pareto", "--json", folder=tmp_path).json["knee"] is None


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study `timed` and its archive `kept`."""
    folder = tmp_path_factory.mktemp("timed")
    assert dsx("search", TIMED, "--trials", 3, folder=folder).code == 0
    assert dsx("archive", "--out", "kept", folder=folder).code == 0
    return folder


def test_proxies_are_a_section_of_every_format(timed: Path, tmp_path: Path) -> None:
    file, proxies = tmp_path / "front.png", tmp_path / "front-proxies.png"
    options = ("--proxies", "--plot", file, "--x", "bits", "--mix-devices")
    ended = dsx("pareto", "timed", *options, "--json", folder=timed)
    assert (ended.code, ended.err) == (0, f"Wrote {file}, {proxies}\n")
    document = ended.json
    assert [row["designs"] for row in document["proxies"]["comparisons"]] == [3, 3, 3]
    assert len(document["designs"]) == 3
    assert min(file.stat().st_size, proxies.stat().st_size) > 1000
    front, section = dsx("pareto", "--proxies", "--format", "csv", folder=timed).out.split("\n\n")
    assert front.startswith("id,trial,on_front,")
    assert section.startswith("proxy,target,designs,")
    table = dsx("pareto", "--proxies", folder=timed).out
    assert "role" in table and "ceiling" in table


def test_models_are_a_section_of_every_format_and_on_the_page(timed: Path, tmp_path: Path) -> None:
    page = tmp_path / "front.html"
    ended = dsx("pareto", "timed", "--models", "--plot", page, "--json", folder=timed)
    assert ended.code == 0, ended
    assert {row["metric"] for row in ended.json["models"]} == set(ended.json["objectives"])
    assert "model of" in page.read_text()
    table = dsx("pareto", "--models", folder=timed).out
    assert re.search(r"^metric +model +designs +tau +used", table, flags=re.MULTILINE)
    ended = dsx("pareto", "--models", "./kept", folder=timed)
    assert (ended.code, ended.err.startswith("dsx: --models: not possible")) == (2, True)


@pytest.mark.parametrize("options", [[], ["--proxies"]])
def test_an_archived_study_is_read_like_the_study(timed: Path, options: list[str]) -> None:
    for name in ("table", "json", "csv"):
        study, folder = (
            dsx("pareto", source, *options, "--format", name, folder=timed)
            for source in ("timed", "./kept")
        )
        # A table names further commands about the study.
        said = folder.out.replace("./kept", "timed")
        assert (folder.code, said, folder.err) == (study.code, study.out, study.err)


def test_an_archived_study_needs_no_database(timed: Path, tmp_path: Path) -> None:
    ended = dsx("pareto", timed / "kept", "--plot", "front.html", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "Wrote front.html\n")
    assert [file.name for file in tmp_path.iterdir()] == ["front.html"]


def test_the_study_of_the_repository_is_read(tmp_path: Path) -> None:
    digits = Path(__file__).parents[2] / "studies" / "digits"
    document = dsx("pareto", digits, "--json", folder=tmp_path).json
    assert (document["study"], len(document["designs"])) == ("digits", 60)


def test_mixed_devices_are_reported_by_every_output(tmp_path: Path) -> None:
    from tests.search.looking import moved
    from tests.search.spaces import ONE

    dsx("search", ONE, "--trials", 4, folder=tmp_path)
    storage = f"sqlite:///{tmp_path}/studies/dsx.db"
    moved(storage, "one", [front("one", storage=storage).entries[2].id])
    apart, mixed = (
        dsx("pareto", *flag, "--json", folder=tmp_path).json for flag in ([], ["--mix-devices"])
    )
    assert (len(apart["designs"]), len(mixed["designs"])) == (3, 4)
    assert "1 design was measured on other devices only" in apart["conditions"]["left out"]
    assert len({design["device"] for design in mixed["designs"]}) == 2
    said = "2 devices mixed: differences between designs may be due to the devices"
    assert mixed["conditions"]["device"] == said
    table = dsx("pareto", "--mix-devices", folder=tmp_path).out
    assert said in " ".join(table.split())
    assert dsx("archive", "--mix-devices", "--out", "kept", folder=tmp_path).code == 0
    assert said in (tmp_path / "kept" / "README.md").read_text()
    text = (tmp_path / "kept" / "measurements.csv").read_text()
    rows = csv.DictReader(io.StringIO(text))
    assert len({row["device"] for row in rows}) == 2
