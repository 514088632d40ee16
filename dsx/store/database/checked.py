"""Column types that validate values when they are read: other programs and disks can damage rows.

Every column has a type of this module. An invalid value is read as `Unreadable`; the database
driver raises no error. There are two ways to read:

- Whole rows (`select(StudyRow)`): a row with an unreadable value raises `DamagedRow`.
- Columns (`select(MeasurementRow.value, ...)`): `describe_damage` states what is wrong with a row,
  so that the caller can skip it.
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
"""Maximum number of characters of a damaged value in a message."""


class DamagedRow(StorageError):
    """A row of the database with a value that cannot be used."""


@dataclass(frozen=True)
class Unreadable:
    """The replacement of a value that does not have the type of its column.

    Args:
        raw: Value that the database driver returned.
        problem: Reason why the value cannot be used.
    """

    raw: object
    problem: str


class Checked(TypeDecorator[Any]):
    """A column type whose values are validated when they are read; NULL is valid.

    Args:
        impl: Type of the column in the database.
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
        """Return a function that converts a value like the underlying type and validates it.

        Args:
            dialect: Dialect of the database.
            coltype: Type of the column in the result, as the database driver states it.

        Returns:
            Function from the value of the driver to the validated value or `Unreadable`.
        """
        # Like `TypeDecorator`: the type of this dialect.
        convert = self.impl_instance.dialect_impl(dialect).result_processor(dialect, coltype)

        def read(raw: Any) -> Any:
            if raw is None:
                return None
            try:
                value = raw if convert is None else convert(raw)
                if isinstance(value, bool) and raw not in (0, 1):
                    # SQLAlchemy converts any text to true.
                    return Unreadable(raw, "Input should be a valid boolean")
                return self._validated(value)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                return Unreadable(raw, f"{where}: {first['msg']}" if where else first["msg"])
            # The converters of SQLAlchemy raise these for values of another type.
            except (ValueError, TypeError, AttributeError) as error:
                return Unreadable(raw, " ".join(str(error).split()))

        return read

    def _validated(self, value: Any) -> Any:
        """Return a value, or raise a ValidationError if it is invalid."""
        self._adapter.validate_python(value, strict=True)
        # The result of pydantic may be an object of another type.
        return value


class CheckedRecord(Checked):
    """A column type of records, which are stored as JSON.

    Args:
        record: Class of the records.
    """

    cache_ok = True

    def __init__(self, record: type[Record]) -> None:
        super().__init__(JSON(), record)
        self.record = record

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Convert a record to plain JSON values.

        Args:
            value: The record, or None.
            dialect: Dialect of the database.

        Returns:
            The JSON values; None for None.
        """
        return None if value is None else to_json(value)

    def _validated(self, value: Any) -> Any:
        return from_json(self.record, value)


class CheckedEnum(Checked):
    """A column type of the members of an enumeration, which are stored as their values.

    Args:
        enum: Class of the members.
    """

    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__(String(255), enum)
        self.enum = enum

    def _validated(self, value: Any) -> Any:
        return self._adapter.validate_python(value)


def describe_damage(table: FromClause, values: Mapping[Any, Any]) -> str | None:
    """Describe what is wrong with a row.

    Args:
        table: Table of the row.
        values: Values of the row by column name; names that are not columns are ignored.

    Returns:
        One line about the first value that cannot be used; None if all values can be used.
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
    """Raise an error for a damaged row; SQLAlchemy calls this for each loaded row.

    Args:
        row: The row.
        _: Further arguments of the event, which are ignored.

    Raises:
        DamagedRow: If a value of the row cannot be used; names table, key and column.
    """
    state = inspect(row)
    assert state is not None
    table = state.mapper.local_table
    problem = describe_damage(table, state.dict)
    if problem:
        assert state.identity is not None
        key = ", ".join(
            f"{column.name}={value!r}"
            for column, value in zip(state.mapper.primary_key, state.identity, strict=True)
        )
        raise DamagedRow(f"the database is damaged: {table.name}, row {key}: {problem}")
