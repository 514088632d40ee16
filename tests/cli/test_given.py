"""Words of the command line: empty values, quotations, and the names of options in messages."""

import ast
from pathlib import Path

import pytest
import typer

import dsx
from dsx.cli import app
from dsx.cli._app import _switches
from dsx.cli._given import VARIABLES, OptionNames, check_not_empty, option, safe_message
from dsx.errors import DsxError
from tests.cli.running import dsx as run
from tests.cli.running import one_line

ROOT = Path(dsx.__file__).parent


@pytest.mark.parametrize(
    ("words", "environment", "where"),
    [
        (["search", "--study", ""], {}, "--study"),
        (["search", "--study="], {}, "--study"),
        (["search", "--study", " \t"], {}, "--study"),
        (["search", ""], {}, "an argument"),
        ([""], {}, "an argument"),
        (["ls"], {"DSX_STORAGE": ""}, "DSX_STORAGE"),
        (["search"], {"DSX_STORAGE_TIMEOUT": ""}, "DSX_STORAGE_TIMEOUT"),
        (["export", "--force", ""], {}, "an argument"),
        (["measure", "--no-channels-last", ""], {}, "an argument"),
        (["--debug", ""], {}, "an argument"),
        (["measure", "--", ""], {}, "an argument"),
        (["ls"], {"DSX_SEED": "1", "DSX_TRIALS": " "}, "DSX_TRIALS"),
    ],
)
def test_an_empty_value_is_rejected(
    words: list[str], environment: dict[str, str], where: str
) -> None:
    with pytest.raises(DsxError, match=rf"^{where}: the value is empty"):
        check_not_empty(words, environment, _switches)


def test_every_variable_of_an_option_with_a_value_is_checked() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    options = [option for command in group.commands.values() for option in command.params]
    switches = _switches()
    named = {option.envvar for option in options if switches.isdisjoint(option.opts)}
    assert named - {None} == set(VARIABLES)


@pytest.mark.parametrize("words", [[], ["ls"], ["measure", "digits", "stem=keep"], ["--", "x"]])
def test_other_values_are_left_to_the_parser(words: list[str]) -> None:
    check_not_empty(
        words, {"DSX_DEBUG": "", "OTHER": "", "DSX_STORAGE": "sqlite:///x.db"}, _switches
    )


def test_words_in_a_message_are_printable_and_hold_no_password() -> None:
    words = ["ls", "--format=a\x1b[31m", "postgresql://u:a s3/@cret@h/d", "x" * 99]
    message = "arguments (a\x1b[31m postgresql://u:a s3/@cret@h/d " + "x" * 99 + ")"
    safe = r"arguments (a\x1b[31m postgresql://u:***@h/d " + "x" * 60 + "...)"
    assert safe_message(message, words) == safe


def named_parameters() -> set[str]:
    """List the parameters that messages of dsx name."""
    calls = (
        node
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "parameter"
    )
    return {ast.literal_eval(call.args[0]) for call in calls}


def options() -> set[str]:
    """List the options of all commands."""
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {}).values()
    return {name for command in commands for each in command.params for name in each.opts}


def test_every_parameter_in_a_message_is_an_option_of_a_command() -> None:
    named = {option(name) for name in named_parameters()}
    assert {"--trials", "--mix-devices", "--study"} <= named
    assert named <= options()


def test_a_parameter_is_named_as_its_option() -> None:
    names = OptionNames({"trials": 3})
    assert names("trials", None) == "--trials"
    assert names("mix_devices", True) == "--mix-devices"
    assert names("study", "NAME") == "--study NAME"


def test_a_value_from_a_variable_is_blamed_on_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSX_STORAGE", "nothing")
    assert OptionNames({"storage": "nothing"})("storage", None) == "DSX_STORAGE"
    assert OptionNames({"storage": "other"})("storage", None) == "--storage"
    assert OptionNames({"storage": "nothing"})("storage", "URL") == "--storage URL"


def test_an_error_below_the_command_line_names_the_option(tmp_path: Path) -> None:
    refused = one_line(run("search", "--storage", "nothing", folder=tmp_path), 2)
    assert refused.startswith("--storage: 'nothing' is not a database URL")
