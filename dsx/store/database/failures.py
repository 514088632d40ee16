"""Conversion of database errors to one-line errors for the user."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)

from dsx.errors import DsxError, StorageError, WorkFailed
from dsx.store.database.engine import display_url, error_text, parse_url

__all__ = ["SQLAlchemyError", "one_line_errors"]


@contextmanager
def one_line_errors(storage: str, saved: bool = True) -> Iterator[None]:
    """Replace errors of the database driver by errors of one line.

    Args:
        storage: SQLAlchemy URL of the database.
        saved: Whether to add that earlier measurements are saved.

    Raises:
        StorageError: If the database is damaged.
        WorkFailed: If the database is temporarily unusable, because its disk is full, it is
            locked, or its server cannot be reached.
    """
    try:
        yield
    except DsxError:
        raise
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        where = display_url(parse_url(storage))
        if type(cause) is DatabaseError:
            raise StorageError(f"{where} is damaged: {error_text(cause)}") from error
        note = " (everything measured before is saved)" if saved else ""
        raise WorkFailed(f"{where} failed: {error_text(cause)}{note}") from error


def _cause(error: Exception) -> DBAPIError | None:
    """Return the error of the driver behind an error, unless it is a bug in dsx.

    Drivers raise OperationalError and InternalError for failures outside the program (disk, locks,
    connections), and a plain DatabaseError for a damaged file. Their other errors concern the
    statements and values that dsx passes, and keep their traceback.
    """
    # Optuna raises its own error from that of the driver.
    found = error if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(found, OperationalError | InternalError) or type(found) is DatabaseError:
        return found
    return None
