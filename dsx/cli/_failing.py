"""Failures of memory and databases while a command runs, reported in one line by every command."""

import functools
from collections.abc import Callable

from dsx.errors import DsxError, WorkFailed, out_of_memory


def failing_in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that failures outside dsx become errors of one line.

    Args:
        command: Function of the command.

    Returns:
        A function with the same options, which raises `WorkFailed` if memory runs out and a
        `DsxError` if the database fails.
    """

    @functools.wraps(command)
    def run(**options: object) -> None:
        try:
            command(**options)
        except DsxError:
            raise
        except Exception as error:
            if problem := out_of_memory(error):
                raise WorkFailed(problem) from error
            storage = options.get("storage")
            if not isinstance(storage, str):
                raise
            # Imported here because it imports SQLAlchemy, and --help must be fast.
            from dsx.store.database import one_line_errors

            with one_line_errors(storage, saved=False):
                raise

    return run
