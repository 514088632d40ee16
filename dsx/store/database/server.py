"""Database servers: supported kinds, and reconnection to a server that cannot be reached.

A search that cannot connect waits inside the connection pool, so that neither Optuna nor the rest
of dsx notices. A connection that breaks in the middle of a transaction is an error; the search then
resumes its study as it does after a kill.
"""

import importlib.util
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.exc import DBAPIError, OperationalError

from dsx.activity import Kind, activity
from dsx.errors import DsxError, StorageError, WorkFailed, parameter

SERVER_SECONDS = 600.0
"""Default time to wait for a server that cannot be reached."""
RETRY_SECONDS, ATTEMPTS = 1.0, 10
CONNECT_SECONDS, SILENCE_SECONDS = 5, 30
"""Timeouts of the driver for connecting and for a connection without an answer."""

_log = logging.getLogger(__name__)


def with_driver(url: URL) -> URL:
    """Return the URL of a database with the driver that dsx uses.

    Args:
        url: URL of any database.

    Returns:
        The URL for `create_engine`.

    Raises:
        StorageError: If dsx does not support this kind of database, or if its driver is not
            installed.
    """
    backend = url.get_backend_name()
    if backend == "sqlite":
        return url
    if backend not in ("postgresql", "postgres"):
        raise StorageError(
            f"{parameter('storage')}: unsupported kind of database '{backend}' "
            "(allowed: sqlite:///path/to/file.db, postgresql://user@host/name)"
        )
    if url.drivername not in (backend, "postgresql+psycopg"):
        return url
    if importlib.util.find_spec("psycopg") is None:
        advice = "PostgreSQL needs its driver: pip install 'dsx[postgres]'"
        raise StorageError(f"{parameter('storage')}: {advice}")
    return url.set(drivername="postgresql+psycopg")


def engine_options(url: URL) -> dict[str, Any]:
    """Return the options of an engine for a server, whose connections may break.

    Args:
        url: URL of the server, including the driver (see `with_driver`).

    Returns:
        Keyword arguments of `create_engine`.
    """
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.drivername == "postgresql+psycopg":
        defaults = {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": 1000 * SILENCE_SECONDS,
            "keepalives_idle": SILENCE_SECONDS,
        }
        # A setting in the URL takes precedence.
        options["connect_args"] = {key: defaults[key] for key in defaults.keys() - url.query.keys()}
    return options


def wait_for_server(engine: Engine, seconds: float) -> None:
    """Make an engine wait whenever its server cannot be reached.

    Args:
        engine: Engine that has connected to its server before.
        seconds: Time after which connecting fails with `WorkFailed`.
    """
    url = engine.url.set(drivername=engine.url.get_backend_name())
    waiting = _Waiting(url.render_as_string(hide_password=True), seconds)

    def connect(dialect: Dialect, record: object, args: Any, options: Any) -> Any:
        assert dialect.loaded_dbapi is not None
        refused = dialect.loaded_dbapi.OperationalError
        return waiting.connect(lambda: dialect.connect(*args, **options), refused)

    event.listen(engine, "do_connect", connect)


class _Waiting:
    """A server that is connected to with repeated attempts.

    Args:
        where: URL of the server for messages.
        seconds: Time limit for the attempts. After it has expired once, or after an interrupt,
            there is only one attempt, since the process is about to end.
    """

    def __init__(self, where: str, seconds: float) -> None:
        self.where, self.seconds = where, seconds

    def connect(self, attempt: Callable[[], Any], refused: type[Exception]) -> Any:
        """Connect, with repeated attempts until the time limit.

        Args:
            attempt: Function that connects and returns the connection.
            refused: Error that the function raises if the server cannot be reached.

        Returns:
            The connection.

        Raises:
            WorkFailed: If the server cannot be reached within the time limit.
        """
        begin = time.monotonic()
        try:
            return attempt()
        except refused as error:
            cause = self._checked(error, begin)
        _log.warning(
            "%s cannot be reached; retrying for up to %s, measurements are kept (%s)",
            *(self.where, _duration(self.seconds), cause),
        )
        with activity(Kind.WAITING_FOR_SERVER, detail=self.where):
            while True:
                self._sleep(begin)
                try:
                    connection = attempt()
                except refused as error:
                    self._checked(error, begin)
                else:
                    break
        _log.warning("%s can be reached again", self.where)
        return connection

    def _checked(self, error: Exception, begin: float) -> str:
        """Return why the server cannot be reached; raise WorkFailed after the time limit."""
        cause = " ".join(str(error).split())
        if time.monotonic() - begin >= self.seconds:
            raise WorkFailed(f"{self.where} cannot be reached: {cause}") from error
        return cause

    def _sleep(self, begin: float) -> None:
        try:
            time.sleep(RETRY_SECONDS)
        except BaseException:
            self.seconds = 0.0
            raise
        if time.monotonic() - begin >= self.seconds:
            self.seconds = 0.0


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def connection_lost(error: BaseException) -> bool:
    """Check whether an error was caused by a connection that broke or could not be opened.

    Args:
        error: Error of SQLAlchemy, or an error that was raised while one was handled.

    Returns:
        Whether the connection to the server is lost; always False for SQLite.
    """
    found: BaseException | None = error
    # dsx raises its own error when it gives up. Optuna may raise several errors after the first.
    while found is not None and not isinstance(error, DsxError):
        if isinstance(found, DBAPIError) and not isinstance(found.orig, sqlite3.Error):
            no_statement = isinstance(found, OperationalError) and found.statement is None
            return found.connection_invalidated or no_statement
        found = found.__cause__ or found.__context__
    return False


def repeated_if_lost(work: Callable[[], None]) -> None:
    """Call a function, and call it again if the connection breaks in the meantime.

    Args:
        work: Function that may run several times; it waits for the server (`wait_for_server`).

    Raises:
        DBAPIError: If the function fails for another reason, or if all attempts fail.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            work()
        except DBAPIError as error:
            if not connection_lost(error):
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return
    work()
