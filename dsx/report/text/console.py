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
    """A console that prints text unmodified and propagates BrokenPipeError.

    Each string is one line: a name in it can neither break the line nor send control codes.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        safe = (printable(each) if isinstance(each, str) else each for each in objects)
        super().print(*safe, **options)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Open a console that supports terminals, pipes and NO_COLOR, without automatic highlighting.

    Args:
        stderr: Whether to write to stderr (progress and messages) instead of stdout (results).

    Returns:
        The console; without a terminal it writes no control codes, and 80 columns unless COLUMNS
        is set.
    """
    return _Console(stderr=stderr, highlight=False, emoji=False, markup=False)


_displaying: list[Console] = []


@contextmanager
def displaying(out: Console) -> Iterator[None]:
    """Redirect all messages to a console while it displays a progress bar.

    Args:
        out: Console of the progress bar.
    """
    _displaying.append(out)
    try:
        yield
    finally:
        _displaying.remove(out)


def message_console() -> Console:
    """Return the console for messages: that of the current progress bar, or stderr."""
    return _displaying[-1] if _displaying else console(stderr=True)


def transliterate(text: str, ascii_only: bool) -> str:
    """Replace the glyphs that a console with ASCII encoding cannot show.

    Args:
        text: Text to be shown.
        ascii_only: Whether the console only supports ASCII.

    Returns:
        The text in ASCII, of the same width except for "±".
    """
    return text.translate(_ASCII) if ascii_only else text
