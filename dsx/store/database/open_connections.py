"""Open connections: what an interrupt leaves behind, and how it is rolled back.

A Ctrl-C that arrives inside SQLAlchemy can leave a connection in the middle of a transaction, for
as long as the traceback of the interrupt refers to it. Even if SQLAlchemy closes the connection,
SQLite keeps its locks until the last cursor is gone, to which the traceback refers too. This
process would then wait for itself with the next thing that it writes.
"""

import sqlite3
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Pool, event

_open: MutableMapping[Pool, dict[int, Any]] = WeakKeyDictionary()
"""The connections in use of each engine, as the database driver knows them."""


def track(engine: Engine) -> None:
    """Note from now on which connections of an engine are in use.

    Args:
        engine: An engine that has not been used yet.
    """
    used: dict[int, Any] = {}
    _open[engine.pool] = used

    def take(connection: Any, *_: object) -> None:
        used[id(connection)] = connection

    def leave(connection: Any, *_: object) -> None:
        used.pop(id(connection), None)

    if engine.dialect.name == "sqlite":
        event.listen(engine.pool, "close", _roll_back)
    event.listen(engine.pool, "checkout", take)
    for end in ("checkin", "invalidate", "close", "detach"):
        event.listen(engine.pool, end, leave)


def _roll_back(connection: Any, *_: object) -> None:
    # One that is closed already has no transaction.
    with suppress(sqlite3.ProgrammingError):
        connection.rollback()


def roll_back_open(engine: Engine) -> None:
    """Roll back what is open, after an interrupt; no other thread uses the engine.

    Args:
        engine: A tracked engine; of any other, nothing is known to be open.
    """
    assert engine.dialect.loaded_dbapi is not None
    failed = engine.dialect.loaded_dbapi.Error
    for connection in list(_open.get(engine.pool, {}).values()):
        # One that is broken or closed holds no lock.
        with suppress(failed):
            connection.rollback()
