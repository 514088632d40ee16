"""Rollback of transactions that an interrupt leaves open.

A Ctrl-C inside SQLAlchemy can leave a connection in the middle of a transaction for as long as the
traceback of the interrupt refers to the connection. Even if SQLAlchemy closes the connection,
SQLite holds its locks until the last cursor is deleted, and the traceback refers to the cursor as
well. The next write of this process would then wait for a lock that the process itself holds.
"""

import sqlite3
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Pool, event

_open: MutableMapping[Pool, dict[int, Any]] = WeakKeyDictionary()
"""Connections of the database driver that are in use, by the pool of their engine."""


def track(engine: Engine) -> None:
    """Start to record which connections of an engine are in use.

    Args:
        engine: Engine that has not been used yet.
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
    # A closed connection has no transaction.
    with suppress(sqlite3.ProgrammingError):
        connection.rollback()


def roll_back_open(engine: Engine) -> None:
    """Roll back all open transactions after an interrupt, while no other thread uses the engine.

    Args:
        engine: Tracked engine; nothing is done for any other engine.
    """
    assert engine.dialect.loaded_dbapi is not None
    failed = engine.dialect.loaded_dbapi.Error
    for connection in list(_open.get(engine.pool, {}).values()):
        # A broken or closed connection holds no lock.
        with suppress(failed):
            connection.rollback()
