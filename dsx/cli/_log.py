"""Log messages of dsx, printed like its other messages."""

import logging

from dsx.errors import message_line


class _Handler(logging.Handler):
    """A handler that prints each record as one line on stderr, above a running progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        # Imported here because it imports rich, and --help must be fast.
        from dsx.report.front import print_message

        print_message(message_line(record.getMessage()))


def show_log_messages() -> None:
    """Print the log messages of dsx in this process instead of passing them to the root logger."""
    log = logging.getLogger("dsx")
    log.handlers = [_Handler()]
    log.propagate = False
    # A library that sets the level of the root logger must not hide them.
    log.setLevel(logging.WARNING)
