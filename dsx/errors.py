"""Errors that the user can correct, each as one line."""

import difflib
import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from dsx.secret import redact_name, redact_url, without_url_password

LONGEST_VALUE = 60
LONGEST_MESSAGE = 300
MOST_NAMES = 20
"""Allowed names that a message lists."""


class DsxError(Exception):
    """An error that the user can correct. It is printed as one line, without a traceback."""

    exit_code = 2


class SpecError(DsxError):
    """Invalid dials, or dials that are not possible on a slot."""


class SpaceError(DsxError):
    """An invalid search space. The message states file, line and key."""


class DataMissing(DsxError):
    """Data that do not exist yet. A search space can be shown without them."""


class StorageError(DsxError):
    """A database that cannot be opened, or a study in it that cannot be used."""


class WorkFailed(DsxError):
    """A failure of the work itself, with valid input."""

    exit_code = 1


class TrialFailed(WorkFailed):
    """A failure of one candidate (diverged training, lack of memory). The study continues."""


class TrainingStopped(WorkFailed):
    """A training that was stopped between two epochs, and whose checkpoint is kept."""


class NotCounted(TrialFailed):
    """A network whose multiply-adds cannot be counted, although it may run."""


class CheckpointError(DsxError):
    """A checkpoint from which a training cannot be resumed.

    Args:
        path: Path of the file.
        problem: Description of the problem, as the predicate of a sentence about the file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}; delete it, or name another file")
        self.path, self.problem = path, problem


@dataclass(frozen=True)
class Unsupported:
    """The reason why something is not possible with this network, space or machine.

    A function that checks for one returns `Unsupported | None`; None means that it is possible.

    Args:
        reason: Cause, in one line.
    """

    reason: str

    def __post_init__(self) -> None:
        """Check that the reason is not empty."""
        if not self.reason.strip():
            raise ValueError("an Unsupported needs a reason")


def printable(text: str) -> str:
    """Escape control characters, line breaks and invisible characters, as Python does.

    Args:
        text: Any text.

    Returns:
        The text, which can be printed on one line of a terminal.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def with_type(error: BaseException) -> str:
    """Describe an exception in one line.

    Args:
        error: The exception.

    Returns:
        The type and, if there is one, the message of the exception, as printable text.
    """
    words = " ".join(str(error).split())
    return printable(f"{type(error).__name__}: {words}" if words else type(error).__name__)


def short(value: object) -> str:
    """Format a value from outside for a message.

    Args:
        value: The value as it was given.

    Returns:
        The value as printable text of limited length without passwords.
    """
    hide = redact_name if isinstance(value, Path) else redact_url
    text = hide(printable(str(value)))
    return f"{text[:LONGEST_VALUE]}..." if len(text) > LONGEST_VALUE else text


def quoted(value: object) -> str:
    """Format and quote a value from outside for a message; see `short`.

    Args:
        value: The value as it was given.

    Returns:
        The value in quotes.
    """
    return f"'{short(value)}'"


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def unwritable_in_one_line(what: str, path: Path) -> Iterator[None]:
    """Convert an OSError about a file into an error that states the option and the path.

    Args:
        what: Name of the option.
        path: Path that the user gave, because the name of a temporary file would not help.

    Raises:
        WorkFailed: If the body raises an OSError because the disk is full.
        DsxError: If the body raises another OSError.
    """
    try:
        yield
    except OSError as error:
        kind = WorkFailed if error.errno in _FULL else DsxError
        reason = error.strerror or error
        raise kind(f"{what}: '{path}' cannot be written: {reason}") from error


def message_line(text: str) -> str:
    """Convert a message to the line that is printed.

    Args:
        text: Message, which may quote other libraries.

    Returns:
        One printable line without passwords; a long message is shortened in the middle.
    """
    line = without_url_password(printable(" ".join(text.split())))
    if len(line) <= LONGEST_MESSAGE:
        return line
    half = (LONGEST_MESSAGE - len(" ... ")) // 2
    return f"{line[:half]} ... {line[-half:]}"


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")
"""Messages about lack of memory from libraries without an error class for it, such as torch on the
CPU and ONNX Runtime."""


def out_of_memory(error: BaseException) -> str | None:
    """Check whether an error is about lack of memory.

    Args:
        error: Any error.

    Returns:
        A line "out of memory: ..."; None for other errors.
    """
    words = " ".join(str(error).split())
    kinds = {kind.__name__ for kind in type(error).__mro__}
    # torch.OutOfMemoryError is recognised by its name, because importing torch takes a second.
    by_type = not kinds.isdisjoint({"MemoryError", "OutOfMemoryError"})
    by_message = "RuntimeError" in kinds and any(phrase in words for phrase in _OUT_OF_MEMORY)
    # For example, a process that cannot be started.
    by_code = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not (by_type or by_message or by_code):
        return None
    return words if words.startswith("out of memory") else f"out of memory: {words}".rstrip(": ")


def raise_out_of_memory(error: BaseException) -> None:
    """Raise a MemoryError if an error of the user's code is about lack of memory.

    Args:
        error: Error that the user's code raised.

    Raises:
        MemoryError: If memory ran out. It is not a `DsxError`, because handlers of `DsxError` add
            that the space file or its network is at fault.
    """
    if words := out_of_memory(error):
        raise MemoryError(words) from error


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Suggest the allowed value nearest to a given one.

    Args:
        word: Value that was given.
        allowed: Allowed values.

    Returns:
        A sentence with a leading space; empty if no allowed value is similar.
    """
    near = difflib.get_close_matches(word[:LONGEST_VALUE], list(allowed), n=1)
    return f" Did you mean {quoted(near[0])}?" if near else ""


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """Describe an unknown value: what was given, what is allowed, and the nearest match.

    Args:
        what: Kind of the value, such as "metric" or "kernel shape".
        word: Value that was given.
        allowed: Allowed values.

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
