"""Words of the command line: empty ones are rejected, and messages quote and name them safely."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dsx.errors import DsxError, short

VARIABLES = (
    "DSX_STORAGE", "DSX_STORAGE_TIMEOUT", "DSX_FORMAT", "DSX_TRIALS", "DSX_SEED", "DSX_SAMPLER",
)  # fmt: skip
"""Environment variables that need a value; an empty DSX_DEBUG means off."""


def check_not_empty(
    words: Sequence[str], environment: Mapping[str, str], switches: Callable[[], Collection[str]]
) -> None:
    """Reject empty values, which usually come from unset shell variables.

    Args:
        words: Words of the command line, without the name of the program.
        environment: Environment variables of the process.
        switches: Function that returns the options without a value.

    Raises:
        DsxError: If an argument, the value of an option or a variable of dsx is empty.
    """
    empty = [name for name in VARIABLES if not environment.get(name, name).strip()]
    for before, word in pairwise(["", *words]):
        option, equals, value = word.partition("=")
        if not word.strip():
            valued = before.startswith("--") and before != "--" and before not in switches()
            empty.append(before if valued else "an argument")
        elif option.startswith("--") and equals and not value.strip():
            empty.append(option)
    if empty:
        raise DsxError(f"{short(empty[0])}: the value is empty (omit it, or give a value)")


def safe_message(message: str, words: Sequence[str]) -> str:
    """Make the words of the command line that a message quotes safe to print.

    Args:
        message: Message of the command-line parser.
        words: Words of the command line, without the name of the program.

    Returns:
        The message with each quoted word escaped, shortened, and without passwords.
    """
    for word in sorted(words, key=len, reverse=True):
        for part in (word, word.partition("=")[2]):
            message = message.replace(part, short(part)) if part else message
    return message


def option(name: str, value: object = None) -> str:
    """Name a parameter as an option of a command.

    Args:
        name: Name of the parameter in Python.
        value: Value or placeholder; None or True for the option alone.

    Returns:
        `--trials`, `--study NAME` or `--mix-devices`.
    """
    words = f"--{name.replace('_', '-')}"
    return words if value in (None, True) else f"{words} {value}"


@dataclass(frozen=True)
class OptionNames:
    """The names of the parameters of one call of a command.

    Args:
        values: Values of the command's parameters, by name.
    """

    values: Mapping[str, object]

    def __call__(self, name: str, value: object) -> str:
        """Name a parameter, see `dsx.errors`; by its variable if its value is from there."""
        variable = f"DSX_{name.upper()}"
        given = os.environ.get(variable) if variable in VARIABLES else None
        from_variable = value is None and given is not None and given == str(self.values.get(name))
        return variable if from_variable else option(name, value)
