"""Write a command line to be typed again."""

import os
import shlex
from collections.abc import Sequence

from dsx.secret import redact_url

STORAGE_VARIABLE = "DSX_STORAGE"


def command_line(*words: str) -> str:
    """Write a call of dsx as a shell takes it.

    Args:
        words: What follows `dsx`.

    Returns:
        The line; the password of a database in it is blotted out.
    """
    return shlex.join(["dsx", *map(_shown, words)])


def saves_measurements(words: Sequence[str]) -> bool:
    """Check whether a call of dsx saves each measurement as soon as it is made.

    Args:
        words: The words after `dsx`.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    bench = command == "bench" and "networks" in words and "--quick" not in words
    return bench or command in ("search", "refine", "measure", "profile")


def storage_words(storage: str, default: str) -> list[str]:
    """Name the database in a call of dsx, if that is needed and possible.

    Args:
        storage: The database.
        default: The database that needs no name.

    Returns:
        The option and its value; nothing if the environment names the database or has to, because
        its password is not printed.
    """
    known = os.environ.get(STORAGE_VARIABLE, default)
    return [] if storage == known or redact_url(storage) != storage else ["--storage", storage]


def lacks_password(storage: str) -> bool:
    """Check whether a call of dsx can name a database only if its user sets a variable first.

    Args:
        storage: The database.

    Returns:
        Whether its URL has a password, and is not that of the variable.
    """
    return storage != os.environ.get(STORAGE_VARIABLE) and redact_url(storage) != storage


def _shown(word: str) -> str:
    """Hide the password of a database, but leave a name that an existing file has as it is."""
    # A pathlib.Path would raise an error for what no file system could have.
    is_name = os.path.exists(word)  # noqa: PTH110
    return word if is_name else redact_url(word)
