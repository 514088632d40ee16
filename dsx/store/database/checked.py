"""Rows of a database, checked when they are read: other programs and disks can damage them.

Every column has a type of this module. A value that is not of that type becomes `Unreadable`
instead of an error of the database driver. Then there are two ways to read:

- Whole rows (`select(StudyRow)`): one with an unreadable value raises `DamagedRow`.
- Columns (`select(MeasurementRow.value, ...)`): `damage` returns what is wrong with a row, so that
  the caller can leave it out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import JSON, Column, Dialect, FromClause, String, inspect
from sqlalchemy.types import TypeDecorator, TypeEngine

from dsx.analysis import Record, from_json, to_json
from dsx.errors import StorageError

LONGEST = 60
"""Characters of a damaged value that a message shows."""


class DamagedRow(StorageError):
    """A row of the database with a value that cannot be used."""


@dataclass(frozen=True)
class Unreadable:
    """The replacement of a value that is not of the type of its column.

    Args:
        raw: The value as the database driver gives it.
        problem: Why it cannot be used.
    """

    raw: object
    problem: str


class Checked(TypeDecorator[Any]):
    """A column type whose values are validated when they are read; NULL passes.

    Args:
        impl: The type of the column in the database.
        kind: Type of a valid value: any type that pydantic supports.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = TypeEngine
    cache_ok = True

    def __init__(self, impl: TypeEngine[Any], kind: Any) -> None:
        super().__init__()
        self.impl = impl
        self.kind = str(kind)
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Convert as the underlying type does, then validate."""
        # As `TypeDecorator` finds it: the type of this dialect.
        convert = self.impl_instance.dialect_impl(dialect).result_processor(dialect, coltype)

        def read(raw: Any) -> Any:
            if raw is None:
                return None
            try:
                value = raw if convert is None else convert(raw)
                if isinstance(value, bool) and raw not in (0, 1):
                    # SQLAlchemy takes any text for true.
                    return Unreadable(raw, "Input should be a valid boolean")
                return self._validated(value)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                return Unreadable(raw, f"{where}: {first['msg']}" if where else first["msg"])
            # What the converters of SQLAlchemy raise on values of another type.
            except (ValueError, TypeError, AttributeError) as error:
                return Unreadable(raw, " ".join(str(error).split()))

        return read

    def _validated(self, value: Any) -> Any:
        """Return a value if it is valid."""
        self._adapter.validate_python(value, strict=True)
        # Not what pydantic makes of it, which may be an object.
        return value


class CheckedRecord(Checked):
    """A column of records, which are stored as JSON.

    Args:
        record: Class of the records.
    """

    cache_ok = True

    def __init__(self, record: type[Record]) -> None:
        super().__init__(JSON(), record)
        self.record = record

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Convert a record to plain JSON values."""
        return None if value is None else to_json(value)

    def _validated(self, value: Any) -> Any:
        return from_json(self.record, value)


class CheckedEnum(Checked):
    """A column of the members of an enumeration, which are stored as their values.

    Args:
        enum: Class of the members.
    """

    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__(String(255), enum)
        self.enum = enum

    def _validated(self, value: Any) -> Any:
        return self._adapter.validate_python(value)


def damage(table: FromClause, values: Mapping[Any, Any]) -> str | None:
    """Return what is wrong with a row.

    Args:
        table: Table of the row.
        values: Some of its values by the name of their column; names of other things are ignored.

    Returns:
        One line about the first value that cannot be used; None if all can.
    """
    for name, value in values.items():
        column = table.columns.get(name)
        if not isinstance(column, Column):
            continue
        if value is None and not column.nullable:
            return f"{name} is NULL"
        if isinstance(value, Unreadable):
            shown = ascii(value.raw)
            shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
            return f"{name} is {shown} ({value.problem})"
    return None


def refuse_damaged(row: object, *_: object) -> None:
    """Raise an error for a damaged row; listens to rows that are loaded.

    Args:
        row: The row.

    Raises:
        DamagedRow: If one of its values cannot be used; names table, key and column.
    """
    state = inspect(row)
    assert state is not None
    table = state.mapper.local_table
    problem = damage(table, state.dict)
    if problem:
        assert state.identity is not None
        key = ", ".join(
            f"{column.name}={value!r}"
            for column, value in zip(state.mapper.primary_key, state.identity, strict=True)
        )
        raise DamagedRow(f"the database is damaged: {table.name}, row {key}: {problem}")
