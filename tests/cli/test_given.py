"""Empty values are rejected, and words that the parser quotes are printed safely."""

import pytest
import typer

from dsx.cli import app
from dsx.cli._app import _switches
from dsx.cli._given import VARIABLES, check_not_empty, safe_message
from dsx.errors import DsxError


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
