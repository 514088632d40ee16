"""The standard streams of the command: results that cannot be written are an error, in one line."""

import io
import os
import sys
from typing import Any, TextIO

from dsx.errors import WorkFailed


class _Results(io.FileIO):
    """Standard output: a write that fails ends the command. A closed pipe is not a failure here."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise WorkFailed(f"stdout cannot be written: {error.strerror}") from error


class _Messages(io.FileIO):
    """Standard error: progress that cannot be written does not stop the work that it is about."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return len(data)


def guard() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams whose failures have one meaning.

    A stream that the caller closed (`>&-`) is opened on the null device, so that no database gets
    its number and with it whatever a library prints. What is written to such a stdout fails.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, mode)
    sys.stdout = _text(_Results(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr)


def _text(raw: io.FileIO, like: TextIO | None) -> TextIO:
    """Open a text stream that encodes as another one, which is None if it was closed."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if like is None else like.errors,
        line_buffering=raw.fileno() == 2 or raw.isatty(),
    )
