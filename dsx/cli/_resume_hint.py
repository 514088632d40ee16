"""Command lines that users can run again."""

import os
import shlex
from collections.abc import Sequence

from dsx.secret import redact_url

STORAGE_VARIABLE = "DSX_STORAGE"


def command_line(*words: str) -> str:
    """Quote a call of dsx for a shell.

    Args:
        words: Words of the command line after `dsx`.

    Returns:
        The command line, in which passwords of database URLs are masked.
    """
    return shlex.join(["dsx", *map(_shown, words)])


def saves_measurements(words: Sequence[str]) -> bool:
    """Check whether a call of dsx stores each measurement immediately.

    Args:
        words: Words of the command line after `dsx`.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    saves = "networks" in words or "--full" in words
    bench = command == "bench" and saves and "--quick" not in words
    return bench or command in ("search", "refine", "measure", "profile")


def storage_words(storage: str, default: str) -> list[str]:
    """Return the option that selects the database, if it is necessary and can be printed.

    Args:
        storage: URL of the database.
        default: URL of the default database.

    Returns:
        The option and its value; empty if the database is the default, or if the environment
        variable selects it or must do so, because its password is not printed.
    """
    known = os.environ.get(STORAGE_VARIABLE, default)
    return [] if storage == known or redact_url(storage) != storage else ["--storage", storage]


def lacks_password(storage: str) -> bool:
    """Check whether DSX_STORAGE must be set before a printed command can be run.

    Args:
        storage: URL of the database.

    Returns:
        Whether the URL contains a password and is not the value of the variable.
    """
    return storage != os.environ.get(STORAGE_VARIABLE) and redact_url(storage) != storage


def _shown(word: str) -> str:
    """Mask the password of a database URL; the name of an existing file is unchanged."""
    # pathlib.Path raises an error for names that no file system accepts.
    is_name = os.path.exists(word)  # noqa: PTH110
    return word if is_name else redact_url(word)
