"""The lock under which one process at a time creates and migrates the tables of a database.

The lock has the location of the tables: it is a file next to a SQLite database, and an advisory
lock inside a database of a server, which machines without a common folder share.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from dsx.files import locked

WAIT_SECONDS = 120
LOCK = int.from_bytes(b"dsx")
"""Number of the advisory lock; each database of PostgreSQL has its own locks."""


@contextmanager
def creating(
    engine: Engine, file: Path | None, wait_seconds: float = WAIT_SECONDS
) -> Iterator[None]:
    """Hold the lock for creating tables.

    Args:
        engine: Engine of the database.
        file: File of a SQLite database; None for a database in memory or on a server.
        wait_seconds: Time to wait for another process that holds the lock.

    Raises:
        OSError: If the lock file cannot be locked within this time.
        OperationalError: If the advisory lock of a server cannot be acquired within this time.
    """
    if file is not None:
        # A process that opens a symbolic link to the file shares this lock. Path.resolve raises an
        # error that is not an OSError for a link to itself.
        place = Path(os.path.realpath(file))
        with locked(place.with_name(f"{place.name}.lock"), wait_seconds):
            yield
    elif engine.dialect.name == "sqlite":
        yield
    else:
        # Outside a transaction, so that none stays open while the tables are created.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Closing the connection releases the lock, so the pool must not reuse it.
            connection.detach()
            connection.execute(text(f"SET lock_timeout = '{wait_seconds}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            yield
