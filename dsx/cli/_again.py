"""Write a command line to be typed again."""

import os
import shlex

from dsx.secret import hidden


def command_line(*words: str) -> str:
    """Write a call of dsx as a shell takes it.

    Args:
        words: What follows `dsx`.

    Returns:
        The line; the password of a database in it is blotted out.
    """
    return shlex.join(["dsx", *map(_shown, words)])


def _shown(word: str) -> str:
    """Hide the password of a database, but leave a name that an existing file has as it is."""
    # A pathlib.Path would raise an error for what no file system could have.
    is_name = os.path.exists(word)  # noqa: PTH110
    return word if is_name else hidden(word)
