"""Databases: engines, the schema and migrations of the tables, and validation of rows."""

from dsx.store.database.checked import DamagedRow
from dsx.store.database.creation import creating
from dsx.store.database.engine import (
    DEFAULT_STORAGE,
    Engine,
    display_url,
    open_database,
    options_for,
    parse_url,
    sqlite_file,
)
from dsx.store.database.failures import SQLAlchemyError, one_line_errors
from dsx.store.database.open_connections import roll_back_open
from dsx.store.database.schema import StudyRow, now
from dsx.store.database.server import SERVER_SECONDS, connection_lost

__all__ = [
    "DEFAULT_STORAGE",
    "SERVER_SECONDS",
    "DamagedRow",
    "Engine",
    "SQLAlchemyError",
    "StudyRow",
    "connection_lost",
    "creating",
    "display_url",
    "now",
    "one_line_errors",
    "open_database",
    "options_for",
    "parse_url",
    "roll_back_open",
    "sqlite_file",
]
