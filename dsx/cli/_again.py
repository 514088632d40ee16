"""Write a command line to be typed again."""

import shlex

from dsx.secret import hidden


def command_line(*words: str) -> str:
    """Write a call of dsx as a shell takes it.

    Args:
        words: What follows `dsx`.

    Returns:
        The line; the password of a database in it is blotted out.
    """
    return shlex.join(["dsx", *map(hidden, words)])
