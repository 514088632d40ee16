"""Checks of the contents of a database: its owner, its schema version and its columns."""

import re
from collections.abc import Collection

import sqlalchemy
from sqlalchemy import Engine, select

from dsx.errors import StorageError, parameter, quoted
from dsx.store.database.schema import VERSION_TABLE, Base, DatabaseRow

OPTUNA = frozenset({"studies", "trials", "version_info"})
"""Names of some of Optuna's tables."""
MOST_NAMED = 3
"""Maximum number of tables that a message lists."""


def check_owner(engine: Engine, adopt: bool) -> None:
    """Refuse to add tables to a database that another program created.

    Args:
        engine: Engine of the database, before the tables of dsx are created in it.
        adopt: Whether to add the tables of dsx to those of other programs.

    Raises:
        StorageError: If the database holds tables, but none of dsx, and `adopt` is not set; or if
            it holds tables of another program with the names of Optuna's tables.
    """
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    if not tables or tables & Base.metadata.tables.keys():
        return
    optuna = tables >= OPTUNA
    if tables & OPTUNA and not optuna:
        raise StorageError(
            f"its table {min(tables & OPTUNA)} was created neither by dsx nor by Optuna (choose "
            "another database)"
        )
    if not adopt:
        owner = "Optuna" if optuna else "another program"
        raise StorageError(
            f"it holds tables of {owner} ({_listed(tables)}) and none of dsx (choose another "
            f"database, or let dsx add its tables to this one: {parameter('adopt', True)})"
        )


def check_version(engine: Engine, latest: int) -> int:
    """Return the schema version of a database.

    Args:
        engine: Engine of the database.
        latest: Schema version that this version of dsx writes.

    Returns:
        The version, at most the latest one; 0 if the database holds no tables of dsx.

    Raises:
        StorageError: If the tables are of a newer version or from before schema versions, or if
            the version or the id of the database is damaged.
    """
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    if not tables & {VERSION_TABLE, *Base.metadata.tables}:
        return 0
    if VERSION_TABLE not in tables:
        raise StorageError(
            "it was created by a version of dsx without schema versions (use another database)"
        )
    stored = str(_only_value(engine, VERSION_TABLE, "version_num"))
    if not re.fullmatch("[1-9][0-9]{0,8}", stored):
        raise StorageError(
            f"the database is damaged: {VERSION_TABLE} has the version {quoted(stored)} (allowed: "
            f"1 to {latest})"
        )
    version = int(stored)
    if version > latest:
        raise StorageError(
            f"it has schema version {version}, and this version of dsx supports 1 to {latest} "
            "(update dsx)"
        )
    if DatabaseRow.__tablename__ not in tables:
        raise StorageError(f"the database is damaged: {DatabaseRow.__tablename__} is missing")
    _only_value(engine, DatabaseRow.__tablename__, "id")
    return version


def check_tables(engine: Engine) -> None:
    """Refuse a database whose tables do not have the columns of the schema.

    Args:
        engine: Engine of the database, of this schema version.

    Raises:
        StorageError: If a table or a column is missing, or if a table has an unknown column that
            must not be empty.
    """
    inspector = sqlalchemy.inspect(engine)
    found = set(inspector.get_table_names())
    for name, table in Base.metadata.tables.items():
        if name not in found:
            raise StorageError(
                f"the database is damaged: the table {name} is missing (`dsx search` creates an "
                "empty one)"
            )
        columns = {column["name"]: column for column in inspector.get_columns(name)}
        known = [column.name for column in table.columns]
        missing = [column for column in known if column not in columns]
        if missing:
            raise StorageError(
                f"the database is damaged: the table {name} has no column {missing[0]}"
            )
        for more in columns.keys() - set(known):
            if not columns[more]["nullable"] and columns[more]["default"] is None:
                raise StorageError(
                    f"the table {name} has an unknown column {more}, which must not be empty"
                )


def _only_value(engine: Engine, table: str, column: str) -> object:
    """Return the value of a table that must have one row."""
    values = select(sqlalchemy.table(table, sqlalchemy.column(column)))
    with engine.connect() as connection:
        found = connection.scalars(values).all()
    if len(found) != 1:
        raise StorageError(f"the database is damaged: {table} has {len(found)} rows (allowed: 1)")
    return found[0]


def _listed(tables: Collection[str]) -> str:
    first = ", ".join(sorted(tables)[:MOST_NAMED])
    return f"{first} and {len(tables) - MOST_NAMED} more" if len(tables) > MOST_NAMED else first
