"""The contents of a database: whether it is dsx's, of which schema version, and complete."""

from collections.abc import Collection

import sqlalchemy
from sqlalchemy import Engine, Inspector, select
from sqlalchemy.orm import Session

from dsx.errors import StorageError
from dsx.parameters import parameter
from dsx.store.database.schema import SCHEMA_VERSION, Base, DatabaseRow, StudyRow

OPTUNA = frozenset({"studies", "trials", "version_info"})
"""Some of the tables of Optuna."""
MOST_NAMED = 3
"""Tables that a message lists."""


def check_owner(engine: Engine, adopt: bool) -> None:
    """Refuse to add tables to a database that another program created.

    Args:
        engine: The database, before dsx's tables are created in it.
        adopt: Whether to add dsx's tables next to those of other programs.

    Raises:
        StorageError: If the database holds tables, but none of dsx, and `adopt` is not set; if it
            holds tables that only have the names of Optuna's.
    """
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    if not tables or tables & Base.metadata.tables.keys():
        return
    optuna = tables >= OPTUNA
    if tables & OPTUNA and not optuna:
        raise StorageError(
            f"the table {min(tables & OPTUNA)} in it is neither of dsx nor of Optuna (choose a "
            "database of its own for dsx)"
        )
    if not adopt:
        whose = "Optuna" if optuna else "another program"
        raise StorageError(
            f"it holds tables of {whose} ({_listed(tables)}) and none of dsx (choose another "
            f"database, or let dsx add its tables to this one: {parameter('adopt', True)})"
        )


def check_version(engine: Engine) -> bool:
    """Refuse a database with another schema than this version of dsx knows.

    A database without a version and without a study is one whose creation was interrupted.

    Args:
        engine: The database.

    Returns:
        False if dsx's tables are not there yet, or not all of them.

    Raises:
        StorageError: If it was written by another version of dsx; names its schema.
    """
    inspector = sqlalchemy.inspect(engine)
    versions: list[int] = []
    if inspector.has_table(DatabaseRow.__tablename__):
        with Session(engine) as session:
            versions = [row.schema for row in session.scalars(select(DatabaseRow))]
    if not versions and _has_studies(engine, inspector):
        raise StorageError(
            "it was written by a version of dsx that is older than schema versions (use another "
            "database for this version)"
        )
    if len(versions) > 1:
        raise StorageError(
            f"the database is damaged: {DatabaseRow.__tablename__} has {len(versions)} rows "
            "(allowed: 1)"
        )
    for version in versions:
        if version > SCHEMA_VERSION:
            advice = "update dsx"
        elif version < SCHEMA_VERSION:
            advice = "use another database for this version"
        else:
            continue
        raise StorageError(
            f"it was written by another version of dsx: schema {version}, and this one knows "
            f"schema {SCHEMA_VERSION} only ({advice})"
        )
    return bool(versions)


def check_tables(engine: Engine) -> None:
    """Refuse a database whose tables do not have the columns of the schema.

    Args:
        engine: The database, of this schema version.

    Raises:
        StorageError: If a table or a column is missing, or there is another column that has to be
            filled in.
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
                f"the database is damaged: the table {name} lacks the column {missing[0]}"
            )
        for more in columns.keys() - set(known):
            if not columns[more]["nullable"] and columns[more]["default"] is None:
                raise StorageError(
                    f"the table {name} has a column {more} that dsx does not know and cannot leave "
                    "empty"
                )


def _has_studies(engine: Engine, inspector: Inspector) -> bool:
    if not inspector.has_table(StudyRow.__tablename__):
        return False
    with engine.connect() as connection:
        row = select(sqlalchemy.literal(1)).select_from(StudyRow).limit(1)
        return connection.scalar(row) is not None


def _listed(tables: Collection[str]) -> str:
    first = ", ".join(sorted(tables)[:MOST_NAMED])
    return f"{first} and {len(tables) - MOST_NAMED} more" if len(tables) > MOST_NAMED else first
