"""Print the log messages of dsx as its other messages: printable, and above a bar that is shown."""

import logging

from dsx.errors import message_line


class _Handler(logging.Handler):
    """Prints each record as one line on stderr; names in it are from data."""

    def emit(self, record: logging.LogRecord) -> None:
        # Imported here because it imports rich, and --help has to be fast.
        from dsx.report.front import print_message

        print_message(message_line(record.getMessage()))


def show_log_messages() -> None:
    """Print the log messages of dsx in this process, instead of Python's own handlers."""
    log = logging.getLogger("dsx")
    log.handlers = [_Handler()]
    log.propagate = False
    # Else a library that sets the root logger's level hides them.
    log.setLevel(logging.WARNING)
