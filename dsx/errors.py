"""What can go wrong for a user, each as one clear line."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class DsxError(Exception):
    """Something the user can mend: printed as one line, never as a traceback."""

    exit_code = 2


class SpecError(DsxError):
    """Dials that cannot be set this way, or not on this slot."""


class SpaceError(DsxError):
    """A search space that does not hold together; says file, line and key."""


class StorageError(DsxError):
    """A database that cannot be opened, or a study in it that cannot be used."""


class WorkFailed(DsxError):
    """The input was fine, the work itself failed."""

    exit_code = 1


class TrialFailed(WorkFailed):
    """One candidate failed (training diverged, memory ran out); the study goes on."""


class CheckpointError(DsxError):
    """A file from which a training cannot be resumed.

    Args:
        path: The file.
        problem: What is wrong, as the rest of a sentence that begins with the file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}; delete it, or name another file")
        self.path, self.problem = path, problem


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Name the allowed word nearest to a misspelt one.

    Args:
        word: What was given.
        allowed: What would have been accepted.

    Returns:
        A sentence with a leading space, or an empty string if nothing is near.
    """
    near = difflib.get_close_matches(word, list(allowed), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """Say that a word is not known, what is, and what was probably meant.

    Args:
        what: The kind of thing asked for ("metric", "kernel shape").
        word: What was given.
        allowed: What would have been accepted.

    Returns:
        One line.
    """
    choices = sorted(allowed)
    return (
        f"no {what} called '{word}' (allowed: {', '.join(choices)}).{did_you_mean(word, choices)}"
    )
