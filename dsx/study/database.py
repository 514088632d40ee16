"""Open a database so that readers never block writers, and exactly one process makes its tables."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from filelock import FileLock
from sqlalchemy import Engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from dsx.errors import StorageError, printable, quoted
from dsx.secret import hidden
from dsx.study.tables import SCHEMA_VERSION, Base, DatabaseRow

DEFAULT_STORAGE = "sqlite:///studies/dsx.db"
BUSY_SECONDS = 60
LARGEST_PORT = 65_535


def parse_url(storage: str) -> URL:
    """Read a database URL.

    Args:
        storage: Any SQLAlchemy URL.

    Returns:
        The URL.

    Raises:
        StorageError: If it is none.
    """
    variable = "DSX_STORAGE"
    option = variable if os.environ.get(variable) == storage else "--storage"
    given = f"{option}: {quoted(storage)}"
    try:
        url = make_url(storage)
        if (url.port or 0) > LARGEST_PORT:
            raise ValueError(url.port)
    # SQLAlchemy lets int() read the port.
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        allowed = "write sqlite:///path/to/file.db or postgresql://user@host:5432/database"
        raise StorageError(f"{given} is not a database URL ({allowed})") from error
    if url.get_backend_name() != "sqlite" and storage.count("@") > 1:
        # Part of the password would be taken for the host, and shown.
        raise StorageError(f"{given} has more than one '@' (write %40 for one in a password)")
    return url


def shown(url: URL) -> str:
    """Write a URL without its password."""
    return hidden(printable(url.render_as_string(hide_password=True)))


def open_database(storage: str, create: bool) -> Engine:
    """Connect to a database.

    Args:
        storage: Any SQLAlchemy URL.
        create: Whether missing folders, files and tables are made. Without it the database is
            only read, and may lie where nothing can be written.

    Returns:
        The engine.

    Raises:
        StorageError: If the database cannot be opened; the password is never shown.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    try:
        if file and not create and not file.exists():
            raise StorageError(f"no database at {shown(url)}; `dsx search` makes one")
        if file and file.is_dir():
            raise StorageError(f"{shown(url)} cannot be opened: it is a folder")
        if file and create:
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = tuned(url) if create or not file else _read_only(url, file)
        if create:
            with table_lock(file):
                Base.metadata.create_all(engine)
                _identify(engine)
        missing = not sqlalchemy.inspect(engine).has_table("dsx_studies")
    except (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise StorageError(f"{shown(url)} cannot be opened: {plain(error)}") from error
    if missing:
        raise StorageError(f"{shown(url)} holds no studies of dsx; `dsx search` begins one")
    return engine


def database_id(engine: Engine) -> str:
    """Read the id of a database, which says which files beside it are its own.

    Args:
        engine: The database.

    Returns:
        32 hexadecimal digits.
    """
    with Session(engine) as session:
        return session.scalars(select(DatabaseRow.id)).one()


def _identify(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        if session.scalar(select(DatabaseRow)) is None:
            session.add(DatabaseRow(schema=SCHEMA_VERSION, id=secrets.token_hex(16)))


def tuned(url: URL) -> Engine:
    """Make an engine whose SQLite connections write ahead: readers go on while one writes."""
    file = sqlite_file(url)
    options: dict[str, Any] = {}
    if file:
        options["connect_args"] = {"timeout": BUSY_SECONDS}
    engine = sqlalchemy.create_engine(url, **options)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", write_ahead)
    return engine


def _read_only(url: URL, file: Path) -> Engine:
    """Make an engine that neither changes a SQLite file nor leaves anything beside it."""
    try:
        engine = _engine_of_mode(url, file, {"mode": "ro"})
    except sqlalchemy.exc.OperationalError:
        # Reading a write-ahead database takes its log beside it. Where none can be made, and none
        # is there, nobody writes: the file can be read as it stands.
        if file.with_name(f"{file.name}-wal").exists():
            raise
        engine = _engine_of_mode(url, file, {"mode": "ro", "immutable": "1"})
    return engine


def _engine_of_mode(url: URL, file: Path, mode: dict[str, str]) -> Engine:
    name = f"file:{quote(str(file.absolute()))}"
    place = url.set(database=name, query={**mode, "uri": "true"})
    engine = sqlalchemy.create_engine(place, connect_args={"timeout": BUSY_SECONDS})
    sqlalchemy.inspect(engine).get_table_names()
    return engine


def write_ahead(connection: Any, record: object) -> None:
    """Set up one SQLite connection: a write-ahead log, and foreign keys that are checked."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def sqlite_file(url: URL) -> Path | None:
    """Give the file behind a URL; None for servers, databases in memory and `file:` addresses."""
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name)


def table_lock(file: Path | None) -> FileLock:
    """Lock against other processes of this machine that make tables at the same moment."""
    place = file.with_name(f"{file.name}.lock") if file else Path(tempfile.gettempdir(), "dsx.lock")
    return FileLock(place, timeout=BUSY_SECONDS)


def plain(error: BaseException) -> str:
    """Say what a database complained of, in one line and without its statement."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__
