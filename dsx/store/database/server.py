"""Database servers: which ones dsx works with, and how it waits for one that has gone away.

A search that cannot connect waits inside of the connection pool, so that neither Optuna nor the
rest of dsx notices. A connection that breaks in the middle of a transaction is an error; a search
then resumes its study as it would after a kill.
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
"""Default time to wait for a server that has gone away."""
LOOK_SECONDS, ATTEMPTS = 1.0, 10
CONNECT_SECONDS, SILENCE_SECONDS = 5, 30
"""A server that does not answer has gone away, too."""

_log = logging.getLogger(__name__)


def addressed(url: URL) -> URL:
    """Complete the URL of a database with the driver that dsx uses.

    Args:
        url: URL of any database.

    Returns:
        The URL for `create_engine`.

    Raises:
        StorageError: If dsx does not work with such a database, or its driver is not installed.
    """
    backend = url.get_backend_name()
    if backend == "sqlite":
        return url
    if backend not in ("postgresql", "postgres"):
        raise StorageError(
            f"{parameter('storage')}: '{backend}' is no kind of database that dsx works with "
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
        url: As `addressed` returns it.

    Returns:
        Keyword arguments of `create_engine`.
    """
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.drivername == "postgresql+psycopg":
        known = {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": 1000 * SILENCE_SECONDS,
            "keepalives_idle": SILENCE_SECONDS,
        }
        # A setting in the user's URL takes precedence.
        options["connect_args"] = {key: known[key] for key in known.keys() - url.query.keys()}
    return options


def wait_for_server(engine: Engine, seconds: float) -> None:
    """Let an engine wait, from now on, where its server cannot be reached.

    Args:
        engine: An engine that has reached its server before.
        seconds: How long it waits before it gives up with a `WorkFailed`.
    """
    url = engine.url.set(drivername=engine.url.get_backend_name())
    waiting = _Waiting(url.render_as_string(hide_password=True), seconds)

    def connect(dialect: Dialect, record: object, args: Any, options: Any) -> Any:
        assert dialect.loaded_dbapi is not None
        refused = dialect.loaded_dbapi.OperationalError
        return waiting.connect(lambda: dialect.connect(*args, **options), refused)

    event.listen(engine, "do_connect", connect)


class _Waiting:
    """Connects to a server, however long that takes.

    Args:
        where: The server, for messages.
        seconds: Time to try for. After it has given up, or was interrupted, it does not wait again:
            nothing else can be written before the process ends either.
    """

    def __init__(self, where: str, seconds: float) -> None:
        self.where, self.seconds = where, seconds

    def connect(self, attempt: Callable[[], Any], refused: type[Exception]) -> Any:
        """Try until it works."""
        begin = time.monotonic()
        try:
            return attempt()
        except refused as error:
            cause = self._checked(error, begin)
        _log.warning(
            "%s cannot be reached; dsx tries again for up to %s and keeps what it has "
            "measured (%s)",
            *(self.where, _words(self.seconds), cause),
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
        """Return why the server cannot be reached, unless the time is over."""
        cause = " ".join(str(error).split())
        if time.monotonic() - begin >= self.seconds:
            raise WorkFailed(f"{self.where} cannot be reached: {cause}") from error
        return cause

    def _sleep(self, begin: float) -> None:
        try:
            time.sleep(LOOK_SECONDS)
        except BaseException:
            self.seconds = 0.0
            raise
        if time.monotonic() - begin >= self.seconds:
            self.seconds = 0.0


def _words(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def connection_lost(error: BaseException) -> bool:
    """Check whether an error is that of a connection that broke, or could not be opened.

    Args:
        error: An error of SQLAlchemy, or one that was raised while it was handled.

    Returns:
        Whether the server went away; always false for SQLite.
    """
    found: BaseException | None = error
    # An error of dsx means that it gave up. Optuna may raise several errors after the first one.
    while found is not None and not isinstance(error, DsxError):
        if isinstance(found, DBAPIError) and not isinstance(found.orig, sqlite3.Error):
            no_statement = isinstance(found, OperationalError) and found.statement is None
            return found.connection_invalidated or no_statement
        found = found.__cause__ or found.__context__
    return False


def repeated_if_lost(work: Callable[[], None]) -> None:
    """Do a piece of work, once more if the connection breaks in its middle.

    Args:
        work: May be done twice; waits for the server by itself, see `wait_for_server`.

    Raises:
        DBAPIError: If it fails for another reason, or again and again.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            work()
        except DBAPIError as error:
            if not connection_lost(error):
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return
    work()
