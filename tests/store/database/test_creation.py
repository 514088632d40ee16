"""Concurrent first starts: one process creates the tables, and no process fails."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from dsx.store.database.creation import LOCK, creating
from dsx.store.database.engine import open_database
from tests.cli.running import dsx, start
from tests.search.postgres import Server
from tests.search.spaces import STATIC


def start_at_once(folder: Path, storage: str, names: Sequence[str]) -> list[str]:
    """Start searches in separate folders at once, and return the output of those that failed."""
    racing = []
    for name in names:
        own = folder / name
        (own / "tmp").mkdir(parents=True)
        # As on several machines: neither the temporary nor the current folder is shared.
        racing.append(
            start(
                *("search", STATIC, "--trials", 1, "--study", name, "--storage", storage),
                folder=own,
                environment={"TMPDIR": str(own / "tmp")},
            )
        )
    ended = [process.wait() for process in racing]
    return [end.err for end in ended if end.code not in (0, 1) or "1 completed" not in end.err]


@pytest.mark.parametrize(
    ("rounds", "processes"), [(1, 4), pytest.param(7, 16, marks=pytest.mark.long)]
)
def test_first_starts_on_a_server_do_not_race(
    tmp_path: Path, postgres: Server, rounds: int, processes: int
) -> None:
    names = [f"s{number}" for number in range(processes)]
    for number in range(rounds):
        storage = postgres.create_database()
        assert start_at_once(tmp_path / str(number), storage, names) == []
        listed = dsx("ls", "--json", "--storage", storage, folder=tmp_path).json["studies"]
        assert {row["study"]: row["designs"] for row in listed} == dict.fromkeys(names, 1)


def test_databases_of_one_server_do_not_wait_for_each_other(postgres: Server) -> None:
    one, other = (open_database(postgres.create_database(), create=True) for _ in range(2))
    with creating(one, None), creating(other, None):
        pass


def test_a_creation_that_takes_too_long_is_an_error(
    postgres_storage: str,
) -> None:
    engine = open_database(postgres_storage, create=True)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        with pytest.raises(OperationalError, match="lock timeout"), creating(engine, None, 0.2):
            raise AssertionError("held twice")
        connection.invalidate()
    # A broken connection releases its lock.
    with creating(engine, None):
        pass


def test_a_link_to_a_database_has_the_same_lock(storage: str, tmp_path: Path) -> None:
    engine = open_database(storage, create=True)
    (tmp_path / "link.db").symlink_to(tmp_path / "dsx.db")
    with (
        creating(engine, tmp_path / "dsx.db"),
        pytest.raises(TimeoutError, match=r"has held .*/dsx\.db\.lock"),
        creating(engine, tmp_path / "link.db", 0.05),
    ):
        raise AssertionError("held twice")
    assert not os.path.lexists(tmp_path / "link.db.lock")
