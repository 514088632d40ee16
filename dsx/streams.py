"""The standard streams of the command: results that cannot be written are an error, in one line."""

import io
import os
import sys
from typing import TextIO

from dsx.errors import WorkFailed

# Subclasses of the text stream, not of the file below it: an interrupt between a write of that and
# the buffer above it would let the same text be written twice.


class _Results(io.TextIOWrapper):
    """Standard output: a write that fails ends the command. A closed pipe is not a failure here."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failed(error) from error


class _Messages(io.TextIOWrapper):
    """Standard error: progress that cannot be written does not stop the work that it is about."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError:
            return


def _failed(error: OSError) -> WorkFailed:
    return WorkFailed(f"stdout cannot be written: {error.strerror}")


def guard() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams whose failures have one meaning.

    A stream that the caller closed (`>&-`) is opened on the null device, so that no database gets
    its number, and with it the output of libraries. What is written to such a stdout fails.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, mode)
    sys.stdout = _over(_Results, 1, sys.stdout)
    sys.stderr = _over(_Messages, 2, sys.stderr)


def _over(kind: type[io.TextIOWrapper], number: int, like: TextIO | None) -> TextIO:
    """Open a text stream that encodes as another one, which is None if it was closed."""
    raw = io.FileIO(number, "w", closefd=False)
    return kind(
        io.BufferedWriter(raw),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if like is None else like.errors,
        line_buffering=number == 2 or raw.isatty(),
    )
