"""Command line as a whole: help, version, and unknown commands and options."""

from pathlib import Path

import pytest

import dsx as package
from tests.cli.running import dsx, fresh, one_line

COMMANDS = ["search", "pareto", "show", "export", "space", "measure", "ls", "doctor"]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = dsx(*arguments, folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: dsx [OPTIONS] COMMAND")
    for command in COMMANDS:
        assert f"\n  {command} " in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_options(tmp_path: Path, command: str) -> None:
    ended = dsx(command, "--help", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: dsx {command}")
    assert "--format <table|json|csv>" in ended.out
    if command != "space":
        assert "DSX_STORAGE" in ended.out


def test_help_names_the_dashboard(tmp_path: Path) -> None:
    assert "\n  dashboard " in dsx("--help", folder=tmp_path).out
    assert "DSX_STORAGE" in dsx("dashboard", "--help", folder=tmp_path).out


def test_version(tmp_path: Path) -> None:
    assert dsx("--version", folder=tmp_path).out == f"dsx {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["serach"], "No such command 'serach'. Did you mean 'search'?"),
        (
            ["search", "--trial", "3"],
            "No such option: --trial (Possible options: --storage, --trials)",
        ),
        (["--debg"], "No such option: --debg (Possible options: --debug)"),
        (["search", "--trials", "many"], "Invalid value for '--trials'"),
        (["search", "--trials", "0"], "Invalid value for '--trials'"),
        (["search", "--seed", "-1"], "Invalid value for '--seed'"),
        (["pareto", "--format", "jsn"], "'jsn' is not one of 'table', 'json', 'csv'"),
        (["pareto", "--plot"], "Option '--plot' requires an argument."),
        (["space", "a", "b"], "Got unexpected extra argument(s) (b)"),
    ],
)
def test_an_invalid_command_line_is_one_line(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    assert problem in one_line(dsx(*arguments, folder=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


def test_help_loads_neither_torch_nor_a_database(tmp_path: Path) -> None:
    process = fresh("--help", folder=tmp_path, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    out, err = process.communicate()
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert (process.returncode, out[:10]) == (0, "Usage: dsx")
    assert "typer" in imported
    assert imported.isdisjoint({"torch", "numpy", "sqlalchemy", "optuna", "yaml", "pydantic"})


@pytest.mark.parametrize(
    ("where", "code", "line"),
    [
        (
            "forward",
            2,
            "the network does not run on an input of 2 x 1 x 8 x 8: SystemExit",
        ),
        ("parameters", 1, "code outside dsx raised SystemExit"),
    ],
)
def test_a_network_that_ends_the_program_is_an_error(
    tmp_path: Path, where: str, code: int, line: str
) -> None:
    model = ("--model", "tests.space.odd_networks:Exits", "--model-args", f"{{where: {where}}}")
    ended = dsx("space", *model, "--input", "1x8x8", folder=tmp_path)
    assert one_line(ended, code) == line
