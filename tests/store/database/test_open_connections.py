"""After an interrupt at any moment, a search does not wait for its own transaction."""

import time

import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.orm import Session

from dsx import search
from dsx.store.database.engine import open_database
from dsx.store.database.open_connections import roll_back_open
from dsx.store.database.schema import DatabaseRow, LeaseRow
from tests.search.looking import Following, rows, states
from tests.search.spaces import STATIC

SOON = 20.0
"""Time limit in seconds, which is less than the timeout for the lock of another connection."""


@pytest.mark.timing
def test_open_transactions_are_rolled_back(storage: str) -> None:
    engine = open_database(storage, create=True)
    left = Session(engine)
    left.execute(update(DatabaseRow).values(id="x" * 32))
    roll_back_open(engine.execution_options())
    begin = time.monotonic()
    with Session(open_database(storage, create=True)) as session, session.begin():
        session.execute(update(DatabaseRow).values(id="y" * 32))
    assert time.monotonic() - begin < SOON
    left.close()
    (row,) = rows(storage, DatabaseRow)
    assert row.id == "y" * 32


def test_an_engine_without_open_connections_is_unchanged(storage: str) -> None:
    engine = open_database(storage, create=True)
    roll_back_open(engine)
    with engine.connect() as connection:
        connection.invalidate()
        roll_back_open(engine)
    assert len(rows(storage, DatabaseRow)) == 1


@pytest.mark.timing
def test_a_closed_connection_with_an_open_cursor_holds_no_lock(storage: str) -> None:
    engine = open_database(storage, create=True)
    left = engine.connect()
    left.execute(update(DatabaseRow).values(id="x" * 32))
    cursor = left.exec_driver_sql("SELECT * FROM dsx_database UNION ALL SELECT * FROM dsx_database")
    cursor.fetchone()
    left.invalidate()
    begin = time.monotonic()
    with Session(open_database(storage, create=True)) as session, session.begin():
        session.execute(update(DatabaseRow).values(id="y" * 32))
    assert time.monotonic() - begin < SOON
    cursor.close()


@pytest.mark.parametrize("number", [2, 9, 30])
@pytest.mark.timing
def test_ctrl_c_in_the_middle_of_a_transaction_does_not_block_the_search(
    storage: str, number: int
) -> None:
    follow, found = Following(), []

    def interrupt(*arguments: object) -> None:
        """Interrupt when the lease is read immediately before a commit."""
        if follow.told and "FROM dsx_leases" in str(arguments[2]):
            found.append(number)
            if len(found) == number:
                raise KeyboardInterrupt

    event.listen(Engine, "after_cursor_execute", interrupt)
    try:
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            search(STATIC, trials=8, storage=storage, report=follow)
        assert time.monotonic() - begin < SOON
    finally:
        event.remove(Engine, "after_cursor_execute", interrupt)
    assert states(storage, "static")["running"] == 0
    assert rows(storage, LeaseRow) == []
