"""Engines of databases, with readers that never block writers and tables created exactly once."""

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

from dsx.errors import StorageError, parameter, printable, quoted
from dsx.secret import redact_url
from dsx.store.database.contents import check_owner, check_tables, check_version
from dsx.store.database.creation import creating
from dsx.store.database.migration import MIGRATIONS, latest_version, migrate
from dsx.store.database.open_connections import track
from dsx.store.database.schema import Base, DatabaseRow
from dsx.store.database.server import SERVER_SECONDS, engine_options, wait_for_server, with_driver

DEFAULT_STORAGE = "sqlite:///studies/dsx.db"
BUSY_SECONDS = 60
LARGEST_PORT = 65_535


def parse_url(storage: str) -> URL:
    """Parse a database URL.

    Args:
        storage: SQLAlchemy URL of the database.

    Returns:
        The parsed URL.

    Raises:
        StorageError: If the text is not a database URL.
    """
    given = f"{parameter('storage')}: {quoted(storage)}"
    try:
        url = make_url(storage)
        if (url.port or 0) > LARGEST_PORT:
            raise ValueError(url.port)
    # SQLAlchemy parses the port with int().
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        allowed = "write sqlite:///path/to/file.db or postgresql://user@host:5432/database"
        raise StorageError(f"{given} is not a database URL ({allowed})") from error
    if url.get_backend_name() != "sqlite" and storage.count("@") > 1:
        # Part of the password would be taken for the host and shown in messages.
        raise StorageError(f"{given} has more than one '@' (write %40 for one in a password)")
    return url


def display_url(url: URL) -> str:
    """Return a URL as text without its password.

    Args:
        url: URL of a database.

    Returns:
        The text, with control characters escaped.
    """
    return redact_url(printable(url.render_as_string(hide_password=True)))


def open_database(
    storage: str,
    create: bool,
    patience: float = SERVER_SECONDS,
    adopt: bool = False,
    migrations: Path = MIGRATIONS,
) -> Engine:
    """Connect to a database.

    Args:
        storage: SQLAlchemy URL of the database.
        create: Whether to create missing folders, files and tables, and to migrate tables of an
            earlier schema version. Otherwise the database is only read, and its folder need not be
            writable.
        patience: Time to wait for a database server that becomes unreachable, in seconds.
        adopt: Whether to also use a database that contains tables of other programs.
        migrations: Folder of the migrations, which determine the schema version.

    Returns:
        The engine.

    Raises:
        StorageError: If the database cannot be opened, is in memory, belongs to another program,
            has another schema version or lacks a column; the password is never shown.
    """
    url = parse_url(storage)
    _refuse_memory(url)
    file = sqlite_file(url)
    try:
        if not create:
            _check_exists(url)
        if file and file.is_dir():
            raise StorageError(f"{display_url(url)} cannot be opened: it is a folder")
        if file and create:
            _refuse_foreign_file(file, url, adopt)
            _refuse_lone_log(file, url)
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = writable_engine(url) if create or not file else _read_only(url, file)
        if create:
            with creating(engine, file):
                _create_tables(engine, url, adopt, migrations)
        missing = not _usable(engine, url, migrations)
        if engine.dialect.name != "sqlite":
            wait_for_server(engine, patience)
    # The driver of SQLite fails to decode a damaged schema.
    except (OSError, ImportError, UnicodeDecodeError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise StorageError(f"{display_url(url)} cannot be opened: {error_text(error)}") from error
    if missing:
        raise StorageError(
            f"{display_url(url)} contains no studies of dsx; `dsx search` creates one"
        )
    return engine


def open_existing(storage: str, patience: float = SERVER_SECONDS) -> Engine:
    """Open an existing database for writing; a database that does not exist is not created.

    Args:
        storage: SQLAlchemy URL of the database.
        patience: Time to wait for a database server that becomes unreachable, in seconds.

    Returns:
        The engine.

    Raises:
        StorageError: If the database does not exist or cannot be opened.
    """
    _check_exists(parse_url(storage))
    return open_database(storage, True, patience)


def _check_exists(url: URL) -> None:
    file = sqlite_file(url)
    if file and not file.exists():
        raise StorageError(f"no database at {display_url(url)}; `dsx search` creates one")


def _create_tables(engine: Engine, url: URL, adopt: bool, migrations: Path) -> None:
    """Create, migrate or complete the tables; refuse a database of another program."""
    latest = latest_version(migrations)
    with _naming(url):
        check_owner(engine, adopt)
        if check_version(engine, latest) < latest:
            migrate(engine, migrations)
    Base.metadata.create_all(engine)
    # Refuse a database that is not writable before any work is done.
    with Session(engine) as session, session.begin():
        session.execute(update(DatabaseRow).values(id=DatabaseRow.id))


def _usable(engine: Engine, url: URL, migrations: Path) -> bool:
    """Check whether the database has the tables of dsx; raise an error if they are unusable."""
    latest = latest_version(migrations)
    with _naming(url):
        version = check_version(engine, latest)
        if 0 < version < latest:
            raise StorageError(
                f"it has schema version {version}, and this version of dsx reads {latest} "
                "(`dsx search` migrates it)"
            )
        if version:
            check_tables(engine)
    return version > 0


@contextmanager
def _naming(url: URL) -> Iterator[None]:
    """Add the name of the database to errors about its contents."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{display_url(url)}: {error}") from error


def _refuse_foreign_file(file: Path, url: URL, adopt: bool) -> None:
    """Refuse a file of another program before a writing connection changes its journal mode."""
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
            f"{display_url(url)} is missing or empty, but its write-ahead log {log.name} is not "
            "(restore the file, or move the log)"
        )


def _refuse_memory(url: URL) -> None:
    """Refuse a database that exists only while the process runs."""
    name = url.database or ":memory:"
    in_memory = ":memory:" in name or "mode=memory" in name or url.query.get("mode") == "memory"
    if url.get_backend_name() == "sqlite" and in_memory:
        raise StorageError(
            f"{parameter('storage')}: '{display_url(url)}' is a database in memory, which does not "
            "store anything (write sqlite:///path/to/file.db)"
        )


def database_id(engine: Engine) -> str:
    """Load the id of a database, by which files that belong to it are recognised.

    Args:
        engine: Engine of the database.

    Returns:
        32 hexadecimal digits.
    """
    with Session(engine) as session:
        return session.scalars(select(DatabaseRow.id)).one()


def writable_engine(url: URL) -> Engine:
    """Create an engine; SQLite connections use a write-ahead log, so that readers never wait.

    Args:
        url: URL of the database.

    Returns:
        The engine.

    Raises:
        StorageError: If dsx does not support this kind of database.
    """
    url = with_driver(url)
    engine = sqlalchemy.create_engine(url, **options_for(url))
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", configure_connection)
    track(engine)
    return engine


def options_for(url: URL) -> dict[str, Any]:
    """Return the keyword arguments of `create_engine` for a database.

    Args:
        url: URL of the database.
    """
    if url.get_backend_name() != "sqlite":
        return engine_options(url)
    return {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite_file(url) else {}


@contextmanager
def transaction(engine: Engine, durable: bool) -> Iterator[Session]:
    """Open a transaction that is committed at the end of the block.

    With a write-ahead log, a power failure (but no crash of the process) can undo the last
    transactions of SQLite. A server is configured separately (`synchronous_commit`).

    Args:
        engine: Engine of the database.
        durable: Whether the commit flushes this transaction and all earlier ones to the disk.

    Yields:
        A session.
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
    """Create an engine that neither changes a SQLite file nor leaves other files next to it."""
    try:
        engine = _engine_of_mode(url, file, {"mode": "ro"})
    except sqlalchemy.exc.OperationalError:
        # A database in write-ahead mode is read together with its log. Where no log exists and none
        # can be created, no process writes, and the file can be treated as immutable.
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


def configure_connection(connection: Any, record: object) -> None:
    """Configure a new SQLite connection: write-ahead log, and enforced foreign keys.

    Args:
        connection: Connection of the database driver.
        record: Record of the connection in the pool, which is not used.
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite database.

    Args:
        url: URL of any database.

    Returns:
        The file; None for a server, a database in memory or a `file:` address.
    """
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name)


def error_text(error: BaseException) -> str:
    """Return the message of a database error in one line, without the SQL statement.

    Args:
        error: Error of SQLAlchemy or of the database driver.
    """
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__
