"""Migrations: creation of dsx's tables, and conversion of those of an earlier schema version."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from dsx.errors import StorageError

MIGRATIONS = Path(__file__).with_name("migrations")
"""Alembic's folder of dsx's migrations: `env.py`, and one numbered file per schema version."""

_alembic_lock = threading.Lock()


def latest_version(migrations: Path) -> int:
    """Return the schema version to which the migrations of a folder lead.

    Args:
        migrations: Folder of the migrations.
    """
    files = (migrations / "versions").glob("[0-9]*.py")
    return max(int(file.name.partition("_")[0]) for file in files)


def migrate(engine: Engine, migrations: Path) -> None:
    """Run all migrations that a database lacks, in one transaction.

    Args:
        engine: The database; the caller holds the lock for creating tables.
        migrations: Folder of the migrations.

    Raises:
        StorageError: If a migration leaves references to rows that do not exist.
    """
    # Imported here because only creating and converting tables takes Alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    # Alembic keeps the current migration in global variables.
    with _alembic_lock, _schema_transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _schema_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction for changes of the schema, committed at the end of the block."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        # SQLite changes most columns by copying their table, which breaks foreign keys for a moment
        # (sqlite.org/lang_altertable.html). This connection is closed and not used again.
        connection.detach()
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.commit()
        # The driver of SQLite begins no transaction for changes of the schema.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            table, _, parent, _ = broken[0]
            raise StorageError(
                f"the database is damaged: the table {table} refers to rows of {parent} that do "
                "not exist"
            )
        connection.commit()
