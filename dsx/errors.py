"""Errors of the user, each as one clear line."""

import difflib
import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from dsx.secret import hidden, hidden_in_name, without_url_password

LONGEST_VALUE = 60
LONGEST_MESSAGE = 300
MOST_NAMES = 20
"""Allowed names that a message lists."""


class DsxError(Exception):
    """An error that the user can correct: printed as one line, never as a traceback."""

    exit_code = 2


class SpecError(DsxError):
    """Dials that cannot be set this way, or not on this slot."""


class SpaceError(DsxError):
    """A search space that is not valid; names file, line and key."""


class DataMissing(DsxError):
    """Data that are not there yet; a space can be shown without them."""


class StorageError(DsxError):
    """A database that cannot be opened, or a study in it that cannot be used."""


class WorkFailed(DsxError):
    """The input was fine, the work itself failed."""

    exit_code = 1


class TrialFailed(WorkFailed):
    """One candidate failed (training diverged, memory ran out); the study goes on."""


class NotCounted(TrialFailed):
    """A network whose multiply-adds cannot be counted, though it may run."""


class CheckpointError(DsxError):
    """A file from which a training cannot be resumed.

    Args:
        path: The file.
        problem: What is wrong, as the rest of a sentence that begins with the file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}; delete it, or name another file")
        self.path, self.problem = path, problem


@dataclass(frozen=True)
class Unsupported:
    """The reason why something is not possible with this network, space or machine.

    A function that checks for one returns `Unsupported | None`; None means that it is possible.

    Args:
        reason: What prevents it, in one line.
    """

    reason: str

    def __post_init__(self) -> None:
        """Refuse a reason that says nothing."""
        if not self.reason.strip():
            raise ValueError("an Unsupported needs a reason")


def printable(text: str) -> str:
    """Escape what a terminal would interpret, and what is invisible, as Python does.

    Args:
        text: Any text.

    Returns:
        The text without control characters, line ends and invisible characters.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def with_type(error: BaseException) -> str:
    """Describe an exception in one line.

    Args:
        error: The exception.

    Returns:
        Its type, and its message if it has one, as printable text.
    """
    words = " ".join(str(error).split())
    return printable(f"{type(error).__name__}: {words}" if words else type(error).__name__)


def short(value: object) -> str:
    """Write a value from outside for a message.

    Args:
        value: The value as it was given.

    Returns:
        The value as printable text, without passwords, and shortened.
    """
    hide = hidden_in_name if isinstance(value, Path) else hidden
    text = hide(printable(str(value)))
    return f"{text[:LONGEST_VALUE]}..." if len(text) > LONGEST_VALUE else text


def quoted(value: object) -> str:
    """Quote a value from outside for a message; see `short`."""
    return f"'{short(value)}'"


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def unwritable_in_one_line(what: str, path: Path) -> Iterator[None]:
    """Name an option and a path in the error about a file that cannot be written.

    Args:
        what: The option.
        path: The value of the option; the name of a temporary file means nothing to the user.

    Raises:
        WorkFailed: If the body raises an OSError, and the disk is full.
        DsxError: If the body raises another OSError.
    """
    try:
        yield
    except OSError as error:
        kind = WorkFailed if error.errno in _FULL else DsxError
        reason = error.strerror or error
        raise kind(f"{what}: '{path}' cannot be written: {reason}") from error


def message_line(text: str) -> str:
    """Reduce a message to the one line that is printed.

    Args:
        text: A message, which may quote other libraries.

    Returns:
        One printable line without passwords; of a long one the beginning and the end.
    """
    line = without_url_password(printable(" ".join(text.split())))
    if len(line) <= LONGEST_MESSAGE:
        return line
    half = (LONGEST_MESSAGE - len(" ... ")) // 2
    return f"{line[:half]} ... {line[-half:]}"


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")
"""Messages of libraries without an error class for it: torch on the CPU, ONNX Runtime."""


def out_of_memory(error: BaseException) -> str | None:
    """Check whether an error is about memory that ran out.

    Args:
        error: Any error.

    Returns:
        One line, "out of memory: ..."; None if the error is about something else.
    """
    words = " ".join(str(error).split())
    kinds = {kind.__name__ for kind in type(error).__mro__}
    # By its name, since importing torch takes a second: torch.OutOfMemoryError.
    known = not kinds.isdisjoint({"MemoryError", "OutOfMemoryError"})
    said = "RuntimeError" in kinds and any(phrase in words for phrase in _OUT_OF_MEMORY)
    # A process that cannot be started, for example.
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not (known or said or refused):
        return None
    return words if words.startswith("out of memory") else f"out of memory: {words}".rstrip(": ")


def raise_out_of_memory(error: BaseException) -> None:
    """Raise an error for memory that ran out, before another error is blamed on the user's code.

    Args:
        error: Error that the user's code raised.

    Raises:
        MemoryError: If memory ran out. It is not a `DsxError`, because handlers of those add that
            the space file or its network is at fault.
    """
    if words := out_of_memory(error):
        raise MemoryError(words) from error


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Name the allowed word nearest to a misspelt one.

    Args:
        word: What was given.
        allowed: What would have been accepted.

    Returns:
        A sentence with a leading space, or an empty string if nothing is near.
    """
    near = difflib.get_close_matches(word[:LONGEST_VALUE], list(allowed), n=1)
    return f" Did you mean {quoted(near[0])}?" if near else ""


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
    listed = ", ".join(printable(choice) for choice in choices[:MOST_NAMES])
    more = f" and {len(choices) - MOST_NAMES} more" if len(choices) > MOST_NAMES else ""
    return (
        f"no {what} called {quoted(word)} (allowed: {listed}{more}).{did_you_mean(word, choices)}"
    )


Naming = Callable[[str, object], str]
"""Function from the name and the value of a parameter, as in `parameter`, to its name in messages.
The command line sets one for its options, as an application sets the language of its messages."""


def as_argument(name: str, value: object) -> str:
    """Name a parameter as a keyword argument of Python.

    Args:
        name: Name of the parameter.
        value: Value to be given to it, or a placeholder; None to name the parameter only.

    Returns:
        `trials`, or `mix_devices=True`.
    """
    return name if value is None else f"{name}={value}"


_naming: ContextVar[Naming] = ContextVar("naming", default=as_argument)


def parameter(name: str, value: object = None) -> str:
    """Name a parameter for a message.

    Args:
        name: Name of the parameter in Python.
        value: Value that the user is advised to give to it (`True` for a switch, `NAME` as a
            placeholder); None to name the parameter only.

    Returns:
        The name as the user knows it.
    """
    return _naming.get()(name, value)


@contextmanager
def named_by(naming: Naming) -> Iterator[None]:
    """Name parameters in another way, such as by the options of a command line.

    Args:
        naming: Function that names a parameter, given its name and value as in `parameter`.
    """
    token = _naming.set(naming)
    try:
        yield
    finally:
        _naming.reset(token)
