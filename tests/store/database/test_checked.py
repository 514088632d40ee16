"""Validation of values of all types, read as rows and as columns."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.measure import Provenance
from dsx.store.database.checked import DamagedRow, describe_damage
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow, StudyRow, TrialRow

DAMAGED = [
    (TrialRow, "state", "'nonsense'", "state is 'nonsense' \\(Input should be 'complete', "),
    (TrialRow, "feasible", "'maybe'", "feasible is 'maybe' \\("),
    (TrialRow, "started_at", "'yesterday'", "started_at is 'yesterday' \\("),
    (StudyRow, "seed", "x'07'", "seed is b'.x07' \\(Input should be a valid integer\\)"),
    (StudyRow, "space_text", "x'ff'", "space_text is b'.xff' \\(Input should be a valid string\\)"),
    (StudyRow, "objectives", "'{'", "objectives is '{' \\(Expecting property name"),
    (StudyRow, "objectives", "'{}'", "objectives is '{}' \\(Dictionary should have at least 1"),
    (StudyRow, "metrics", """'{"a": {}}'""", r"metrics is .* \(a.unit: Field required\)"),
    (StudyRow, "deploy", "'auto'", r"deploy is 'auto' \(Input should be 'native' or 'portable'\)"),
    (StudyRow, "reference", """'{"a": Infinity}'""", r"\(a: Input should be a finite number\)"),
    (MeasurementRow, "value", "9e999", r"value is inf \(Input should be a finite number\)"),
    (MeasurementRow, "value", "'fast'", r"value is 'fast' \(Input should be a valid number\)"),
    (MeasurementRow, "samples", "'abcd'", "samples is 'abcd' \\("),
    (MeasurementRow, "provenance", "'[1]'", r"provenance is '\[1\]' \("),
    (MeasurementRow, "provenance", """'{"wide": true}'""", r"wide: Unexpected keyword argument\)"),
    (MeasurementRow, "provenance", """'{"noisy": 1}'""", r"noisy: Input should be a valid boolean"),
    (MeasurementRow, "provenance", """'{"details": {"a": NaN}}'""", r"Out of range float values"),
]


@pytest.mark.parametrize(("table", "column", "value", "problem"), DAMAGED)
def test_a_damaged_row_raises_an_error_with_table_key_and_column(
    copied: str, table: type[TrialRow | StudyRow | MeasurementRow], column: str, value: str,
    problem: str,
) -> None:  # fmt: skip
    with closing(sqlite3.connect(copied.removeprefix("sqlite:///"))) as connection:
        connection.execute(f"UPDATE {table.__tablename__} SET {column} = {value}")
        connection.commit()
    with Session(open_database(copied, create=False)) as session:
        key = r"^the database is damaged: dsx_\w+, row (study|id|name)=.*: "
        with pytest.raises(DamagedRow, match=key + ".*" + problem) as refused:
            session.scalars(select(table)).all()
        row = session.execute(select(getattr(table, column))).first()
        assert row is not None
        found = describe_damage(table.__table__, row._mapping)
        assert found is not None and found in str(refused.value)
    assert "\n" not in str(refused.value)


def test_long_values_are_truncated_and_control_characters_escaped(copied: str) -> None:
    with closing(sqlite3.connect(copied.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE dsx_trials SET state = ?", ["\x1b[31m\n" + 1000 * "a"])
        connection.commit()
    with (
        Session(open_database(copied, create=False)) as session,
        pytest.raises(DamagedRow, match=r"state is '\\x1b\[31m\\na+\.\.\. ") as refused,
    ):
        session.scalars(select(TrialRow)).all()
    assert len(str(refused.value)) < 300


def test_undamaged_rows_are_unchanged(copied: str) -> None:
    with Session(open_database(copied, create=False)) as session:
        for row in session.scalars(select(MeasurementRow)):
            values = {column.name: getattr(row, column.name) for column in row.__table__.columns}
            assert describe_damage(row.__table__, values) is None
            assert isinstance(row.value, float) and isinstance(row.provenance, Provenance)
