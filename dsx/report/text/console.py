"""The consoles of reports (results on stdout, the rest on stderr), and glyphs in ASCII."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from dsx.errors import printable

_ASCII = str.maketrans(
    {"★": "*", "☆": "*", "◆": "B", "◇": "B", "●": "o", "○": "?", "◦": ":", "·": "."}
    | {"±": "+-", "│": "|", "─": "-"}
    | {"┤": "+", "┴": "+", "└": "+"}
)


class _Console(Console):
    """A console that prints text as it is, and leaves a closed pipe to whoever ends the process.

    Each string is one line: a name in it can neither break the line nor command the terminal.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        safe = (printable(each) if isinstance(each, str) else each for each in objects)
        super().print(*safe, **options)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Open a console that colours nothing by itself and knows terminals, pipes and NO_COLOR.

    Args:
        stderr: For progress and messages; results go to stdout.

    Returns:
        A console; without a terminal it writes no control codes, 80 columns unless COLUMNS says so.
    """
    return _Console(stderr=stderr, highlight=False, emoji=False, markup=False)


_displaying: list[Console] = []


@contextmanager
def displaying(out: Console) -> Iterator[None]:
    """Print all messages to a console while it shows a bar, which another one would print into.

    Args:
        out: The console.
    """
    _displaying.append(out)
    try:
        yield
    finally:
        _displaying.remove(out)


def message_console() -> Console:
    """Return the console that messages are printed to: that of the running bar, if there is one."""
    return _displaying[-1] if _displaying else console(stderr=True)


def spelled(text: str, ascii_only: bool) -> str:
    """Replace the marks that an old terminal or a pipe in ASCII could not show.

    Args:
        text: What is to be shown.
        ascii_only: Whether the console says so.

    Returns:
        A text in ASCII, of the same width but where it holds an uncertainty.
    """
    return text.translate(_ASCII) if ascii_only else text
