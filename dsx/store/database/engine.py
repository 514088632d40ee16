"""Open a database so that readers never block writers, and exactly one process makes its tables."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Engine as Engine
from sqlalchemy import event, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from dsx.errors import StorageError, printable, quoted
from dsx.parameters import parameter
from dsx.secret import hidden
from dsx.store.database.contents import check_owner, check_tables, check_version
from dsx.store.database.creation import creating
from dsx.store.database.open_connections import track
from dsx.store.database.schema import SCHEMA_VERSION, Base, DatabaseRow
from dsx.store.database.server import SERVER_SECONDS, addressed, engine_options, wait_for_server

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
    given = f"{parameter('storage')}: {quoted(storage)}"
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


def open_database(
    storage: str, create: bool, patience: float = SERVER_SECONDS, adopt: bool = False
) -> Engine:
    """Connect to a database.

    Args:
        storage: Any SQLAlchemy URL.
        create: Whether missing folders, files and tables are made. Without it the database is
            only read, and may lie where nothing can be written.
        patience: Seconds for which a server that goes away later is waited for.
        adopt: Whether to create the tables also in a database that holds those of other programs.

    Returns:
        The engine.

    Raises:
        StorageError: If the database cannot be opened, keeps nothing, is of another program or of
            another version of dsx, or lacks a column; the password is never shown.
    """
    url = parse_url(storage)
    _refuse_memory(url)
    file = sqlite_file(url)
    try:
        if file and not create and not file.exists():
            raise StorageError(f"no database at {shown(url)}; `dsx search` makes one")
        if file and file.is_dir():
            raise StorageError(f"{shown(url)} cannot be opened: it is a folder")
        if file and create:
            _refuse_foreign_file(file, url, adopt)
            _refuse_lone_log(file, url)
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = tuned(url) if create or not file else _read_only(url, file)
        if create:
            with creating(engine, file):
                _create_tables(engine, url, adopt)
        missing = not _usable(engine, url)
        if engine.dialect.name != "sqlite":
            wait_for_server(engine, patience)
    # The driver of SQLite decodes what it finds in a damaged schema.
    except (OSError, ImportError, UnicodeDecodeError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise StorageError(f"{shown(url)} cannot be opened: {plain(error)}") from error
    if missing:
        raise StorageError(f"{shown(url)} holds no studies of dsx; `dsx search` begins one")
    return engine


def _create_tables(engine: Engine, url: URL, adopt: bool) -> None:
    """Create the tables that are missing, unless the database is not dsx's."""
    with _naming(url):
        check_owner(engine, adopt)
        check_version(engine)
    Base.metadata.create_all(engine)
    _identify(engine)


def _usable(engine: Engine, url: URL) -> bool:
    """Check whether the tables of dsx exist; raise an error if they cannot be used."""
    with _naming(url):
        usable = check_version(engine)
        if usable:
            check_tables(engine)
    return usable


@contextmanager
def _naming(url: URL) -> Iterator[None]:
    """Name the database in messages about its contents."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{shown(url)}: {error}") from error


def _refuse_foreign_file(file: Path, url: URL, adopt: bool) -> None:
    """Refuse a file of another program before a connection for writing changes its journal."""
    if file.exists() and file.stat().st_size:
        reader = _read_only(url, file)
        with _naming(url):
            check_owner(reader, adopt)
        reader.dispose()


def _refuse_lone_log(file: Path, url: URL) -> None:
    """Refuse to create a file whose write-ahead log exists: SQLite would delete the log."""
    log = file.with_name(f"{file.name}-wal")
    empty = not file.exists() or not file.stat().st_size
    if empty and log.exists() and log.stat().st_size:
        raise StorageError(
            f"{shown(url)} is missing or empty, but its log {log.name} is not: put the file back, "
            "or move the log away"
        )


def _refuse_memory(url: URL) -> None:
    """Refuse a database that is gone when the process ends."""
    name = url.database or ":memory:"
    in_memory = ":memory:" in name or "mode=memory" in name or url.query.get("mode") == "memory"
    if url.get_backend_name() == "sqlite" and in_memory:
        raise StorageError(
            f"{parameter('storage')}: '{shown(url)}' is a database in memory, which keeps nothing "
            "(write sqlite:///path/to/file.db)"
        )


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
        # A database that cannot be written to is refused here, before any work.
        session.execute(update(DatabaseRow).values(id=DatabaseRow.id))


def tuned(url: URL) -> Engine:
    """Create an engine; SQLite connections use a write-ahead log, so that readers never wait."""
    url = addressed(url)
    engine = sqlalchemy.create_engine(url, **options_for(url))
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", write_ahead)
    track(engine)
    return engine


def options_for(url: URL) -> dict[str, Any]:
    """Return the keyword arguments of `create_engine` for a database."""
    if url.get_backend_name() != "sqlite":
        return engine_options(url)
    return {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite_file(url) else {}


@contextmanager
def transaction(engine: Engine, durable: bool) -> Iterator[Session]:
    """Open a transaction that is committed at the end of the block.

    A power cut, though no crash of the process, may undo the last transactions of SQLite with a
    write-ahead log. A server decides by itself what it flushes (`synchronous_commit`).

    Args:
        engine: The database.
        durable: Whether this transaction, and with it all earlier ones, has reached the disk then.

    Yields:
        The session.
    """
    flush = durable and engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if flush:
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            connection.commit()
        try:
            with Session(connection) as session, session.begin():
                yield session
        finally:
            if flush:
                connection.exec_driver_sql("PRAGMA synchronous=NORMAL")


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


def plain(error: BaseException) -> str:
    """Say what a database complained of, in one line and without its statement."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__
