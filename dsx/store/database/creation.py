"""Creation: one process at a time creates the tables of a database, dsx's own and Optuna's.

The lock is located where the tables are: next to the file of a SQLite database, and inside a
database of a server, which machines without a common folder share.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from dsx.files import locked

WAIT_SECONDS = 120
LOCK = int.from_bytes(b"dsx")
"""Number of the advisory lock; PostgreSQL has separate ones for each database."""


@contextmanager
def creating(
    engine: Engine, file: Path | None, wait_seconds: float = WAIT_SECONDS
) -> Iterator[None]:
    """Hold the right to create tables.

    Args:
        engine: The database.
        file: The file of a SQLite database; None for one in memory, and for a server.
        wait_seconds: Time to wait for another process that holds the lock.

    Raises:
        OSError: If the lock of a file cannot be had.
        OperationalError: If that of a server cannot.
    """
    if file is not None:
        # Next to the file itself: a process that opens a symbolic link to it shares this lock.
        # Not Path.resolve, which raises an error that is no OSError for a link to itself.
        place = Path(os.path.realpath(file))
        with locked(place.with_name(f"{place.name}.lock"), wait_seconds):
            yield
    elif engine.dialect.name == "sqlite":
        yield
    else:
        # Outside of a transaction, so that none stays open during this time.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # The lock ends with the connection, which is closed and not used again.
            connection.detach()
            connection.execute(text(f"SET lock_timeout = '{wait_seconds}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            yield
