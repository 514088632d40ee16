"""Creation of the tables of dsx, and migration from an earlier schema version."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from dsx.errors import StorageError

MIGRATIONS = Path(__file__).with_name("migrations")
"""Alembic's script folder: `env.py`, and `versions/` with one numbered file per schema version."""

_alembic_lock = threading.Lock()


def latest_version(migrations: Path) -> int:
    """Return the latest schema version, to which the migrations of a folder lead.

    Args:
        migrations: Folder of the migrations.
    """
    files = (migrations / "versions").glob("[0-9]*.py")
    return max(int(file.name.partition("_")[0]) for file in files)


def migrate(engine: Engine, migrations: Path) -> None:
    """Run all pending migrations of a database in one transaction.

    Args:
        engine: Engine of the database; the caller holds the lock for creating tables.
        migrations: Folder of the migrations.

    Raises:
        StorageError: If a migration leaves references to rows that do not exist.
    """
    # Imported here, since opening an up-to-date database does not need Alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    # Alembic keeps its state in global variables; concurrent migrations crash the interpreter.
    with _alembic_lock, _schema_transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _schema_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction for schema changes, which is committed at the end of the block."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        # Most schema changes of SQLite copy a table, which violates foreign keys temporarily
        # (sqlite.org/lang_altertable.html). The pool must not reuse this connection.
        connection.detach()
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.commit()
        # The driver of SQLite does not start a transaction for schema changes.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            table, _, parent, _ = broken[0]
            raise StorageError(
                f"the database is damaged: the table {table} refers to rows of {parent} that do "
                "not exist"
            )
        connection.commit()
