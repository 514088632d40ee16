"""Errors of every command: one line for failures outside dsx, parameters named as options."""

import functools
from collections.abc import Callable

from dsx.cli._given import OptionNames
from dsx.errors import DsxError, WorkFailed, named_by, out_of_memory


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
            with named_by(OptionNames(options)):
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

            with named_by(OptionNames(options)), one_line_errors(storage, saved=False):
                raise

    return run
