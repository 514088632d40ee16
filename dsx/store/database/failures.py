"""Failures of a database while it is in use: one line for the user instead of a traceback."""

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
from dsx.store.database.engine import parse_url, plain, shown

__all__ = ["SQLAlchemyError", "one_line_errors"]


@contextmanager
def one_line_errors(storage: str, saved: bool = True) -> Iterator[None]:
    """Raise an error of one line in place of what the database driver raises.

    Args:
        storage: The database, any SQLAlchemy URL.
        saved: Whether to add that measurements are not lost.

    Raises:
        StorageError: If the database is damaged.
        WorkFailed: If the database cannot be used at the moment: its disk is full, it is locked,
            the server is gone.
    """
    try:
        yield
    except DsxError:
        raise
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        where = shown(parse_url(storage))
        if type(cause) is DatabaseError:
            raise StorageError(f"{where} is damaged: {plain(cause)}") from error
        note = " (everything measured before is saved)" if saved else ""
        raise WorkFailed(f"{where} failed: {plain(cause)}{note}") from error


def _cause(error: Exception) -> DBAPIError | None:
    """Return the error of the driver that is no mistake of dsx.

    Drivers raise OperationalError and InternalError for failures outside the program (disk, locks,
    connections), and a plain DatabaseError for a file that is damaged. Their other errors are about
    the statements and values that they are given: those of dsx, whose mistakes stay visible.
    """
    # Optuna raises an error of its own from that of the driver.
    found = error if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(found, OperationalError | InternalError) or type(found) is DatabaseError:
        return found
    return None
