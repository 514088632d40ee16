"""Standard streams of the command, for which a failed write of results is a one-line error."""

import io
import os
import sys
from typing import TextIO

from dsx.errors import WorkFailed

# The text streams are subclassed, not the raw files: an interrupt between the write of a raw file
# and the update of its buffer would cause the same text to be written twice.


class _Results(io.TextIOWrapper):
    """Standard output, on which a failed write ends the command; a closed pipe is not a failure."""

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
    """Standard error, on which a failed write is ignored, so that the work continues."""

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
    """Replace `sys.stdout` and `sys.stderr` by streams with well-defined errors.

    A stream that the caller has closed (`>&-`) is opened on the null device, so that a database
    does not get its file descriptor, to which libraries may write. Writing to such a stdout fails.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # This opens the lowest free file descriptor, which is `number`.
            os.open(os.devnull, mode)
    sys.stdout = _over(_Results, 1, sys.stdout)
    sys.stderr = _over(_Messages, 2, sys.stderr)


def _over(kind: type[io.TextIOWrapper], number: int, like: TextIO | None) -> TextIO:
    """Open a text stream with the encoding of another one, which is None if it was closed."""
    raw = io.FileIO(number, "w", closefd=False)
    return kind(
        io.BufferedWriter(raw),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if like is None else like.errors,
        line_buffering=number == 2 or raw.isatty(),
    )
