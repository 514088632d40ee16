"""Reconnection to a server that was reachable before, within the given time."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, PendingRollbackError

from dsx.activity import Event, Kind, active
from dsx.errors import StorageError, WorkFailed
from dsx.measure import Measurement, this_device
from dsx.store.database.engine import open_database, parse_url
from dsx.store.database.schema import DesignRow, MeasurementRow
from dsx.store.database.server import connection_lost, engine_options, repeated_if_lost, with_driver
from dsx.store.measurements.measurements import MeasurementStore
from tests.search.looking import rows
from tests.search.postgres import Server

KILL_ALL = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid != pg_backend_pid()"
)


@pytest.fixture
def engine(postgres_storage: str) -> Iterator[Engine]:
    engine = open_database(postgres_storage, create=True)
    yield engine
    engine.dispose()


@contextmanager
def away(postgres: Server, mode: str, seconds: float) -> Iterator[None]:
    """Stop the server, and start it again after some time."""
    postgres.stop(mode)
    back = threading.Timer(seconds, postgres.start)
    back.start()
    try:
        yield
    finally:
        back.join()


@pytest.mark.parametrize(
    ("storage", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg2"),
        ("sqlite:///a.db", "sqlite"),
    ],
)
def test_the_driver_is_added_to_the_url(storage: str, driver: str) -> None:
    assert with_driver(parse_url(storage)).drivername == driver


def test_settings_in_the_url_take_precedence() -> None:
    url = with_driver(parse_url("postgresql://u@h/d?connect_timeout=77"))
    assert "connect_timeout" not in engine_options(url)["connect_args"]
    assert "tcp_user_timeout" in engine_options(url)["connect_args"]


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r"^storage: .* pip install 'dsx\[postgres\]'$"):
        open_database("postgresql://u@h/d", create=True)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_an_unreachable_server_is_waited_for(
    engine: Engine, postgres: Server, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    begun: list[Event] = []
    looking = threading.Timer(0.7, lambda: begun.extend(step.event for step in active()))
    looking.start()
    with away(postgres, mode, 1.5), engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    looking.join()
    (waiting,) = begun
    assert (
        waiting.kind == Kind.WAITING_FOR_SERVER
        and waiting.detail.startswith("postgresql://")
        and active() == ()
    )
    gone, back = caplog.messages
    assert "cannot be reached; retrying for up to 10 min" in gone
    assert back.endswith("can be reached again")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_waiting_ends_after_the_time_limit_and_is_not_repeated(
    postgres: Server, postgres_storage: str
) -> None:
    engine = open_database(postgres_storage, True, 0.5)
    given_up = pytest.raises(WorkFailed, match=r"^postgresql://.* cannot be reached: conn")
    with away(postgres, "fast", 4.0):
        for _ in range(2):
            with given_up, engine.connect():
                pass
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_a_server_that_was_never_reached_is_not_waited_for() -> None:
    with pytest.raises(StorageError, match="cannot be opened: connection"):
        open_database("postgresql://u@/d?host=/nowhere", create=True)


def test_a_broken_connection_is_distinguished_from_other_errors(engine: Engine) -> None:
    with (
        engine.connect() as connection,
        engine.connect() as other,
        pytest.raises(OperationalError, match="terminat") as broken,
    ):
        other.execute(KILL_ALL)
        connection.execute(text("SELECT 1"))
    assert connection_lost(broken.value)
    with engine.connect() as connection, pytest.raises(DBAPIError, match="zero") as failed:
        connection.execute(text("SELECT 1/0"))
    assert not connection_lost(failed.value)
    assert not connection_lost(ValueError("x"))
    # As raised by Optuna.
    wrapped = RuntimeError("x")
    wrapped.__cause__ = broken.value
    assert connection_lost(wrapped)
    # As raised by Optuna after a retry in the same transaction.
    pending = PendingRollbackError("x")
    pending.__context__ = broken.value
    wrapped.__cause__ = pending
    assert connection_lost(wrapped)
    given_up = WorkFailed("x")
    given_up.__cause__ = broken.value
    assert not connection_lost(given_up)


def test_work_that_lost_its_connection_is_repeated(engine: Engine) -> None:
    tries = 0

    def work() -> None:
        nonlocal tries
        tries += 1
        with engine.connect() as connection:
            if tries == 1:
                with engine.connect() as other:
                    other.execute(KILL_ALL)
            connection.execute(text("SELECT 1"))

    repeated_if_lost(work)
    assert tries == 2
    with pytest.raises(IntegrityError, match="violates"):
        repeated_if_lost(lambda: _insert_nonsense(engine))


def _insert_nonsense(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO dsx_trials (study, number) VALUES ('none', 1)"))


def test_a_measurement_is_written_once_after_any_interruption(
    engine: Engine, postgres: Server, postgres_storage: str
) -> None:
    measurements = MeasurementStore(engine, this_device())
    protocol = measurements.add_protocol("latency_ms", {})
    measurements.add_once(DesignRow(id="d", model="m", model_args={}, spec={}, description=""))
    with away(postgres, "immediate", 1.5):
        measurements.add("d", "latency_ms", protocol, Measurement(value=1.0, low=1.0, high=1.0))
    assert len(rows(postgres_storage, MeasurementRow)) == 1
