"""One process at a time runs a study; a dead one holds it no longer."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dsx.errors import StorageError
from dsx.study.database import open_database
from dsx.study.tables import WorkerRow
from dsx.study.worker import alive, claim
from tests.cli.running import INTERRUPT, dsx, one_line, start, until
from tests.study.looking import rows
from tests.study.spaces import STATIC, THREE

HERE = socket.gethostname()


@pytest.fixture
def engine(storage: str) -> Engine:
    return open_database(storage, create=True)


def hold(engine: Engine, host: str, pid: int, started: float) -> None:
    with Session(engine) as session, session.begin():
        session.add(WorkerRow(study="s", host=host, pid=pid, started=started))


def test_a_study_is_held_while_it_is_run(storage: str, engine: Engine) -> None:
    with claim(engine, "s"):
        assert [(row.study, row.pid) for row in rows(storage, WorkerRow)] == [("s", os.getpid())]
        with claim(engine, "another"):
            assert len(rows(storage, WorkerRow)) == 2
        refusal = rf"'s' is being run by process {os.getpid()} on "
        with pytest.raises(StorageError, match=refusal), claim(engine, "s"):
            raise AssertionError("held twice")
        assert len(rows(storage, WorkerRow)) == 1
    assert rows(storage, WorkerRow) == []


def test_a_study_is_let_go_after_an_error(storage: str, engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), claim(engine, "s"):
        raise ZeroDivisionError("by zero")
    assert rows(storage, WorkerRow) == []


def test_a_dead_process_holds_nothing(storage: str, engine: Engine) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pid = process.pid
    hold(engine, HERE, pid, 1.0)
    with claim(engine, "s"):
        assert [row.pid for row in rows(storage, WorkerRow)] == [os.getpid()]


def test_a_process_with_the_number_of_a_dead_one_is_not_taken_for_it(engine: Engine) -> None:
    hold(engine, HERE, os.getppid(), 1.0)
    with claim(engine, "s"):
        pass


def test_another_machine_counts_as_alive(engine: Engine) -> None:
    hold(engine, "elsewhere", 1, 1.0)
    with pytest.raises(StorageError, match="run by process 1 on elsewhere"), claim(engine, "s"):
        raise AssertionError("held twice")


def test_alive() -> None:
    me = psutil.Process()
    assert alive(HERE, me.pid, me.create_time())
    assert not alive(HERE, me.pid, me.create_time() - 100)
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as process:
        started = psutil.Process(process.pid).create_time()
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "it ends")
        assert not alive(HERE, process.pid, started)
    assert not alive(HERE, process.pid, started)


def test_the_same_command_twice_at_once_is_refused_and_names_the_process(tmp_path: Path) -> None:
    arguments = ("search", STATIC, "--trials", 500)
    first = start(*arguments, folder=tmp_path)
    until(lambda: "0/500" in first.err, "the first search is under way")
    refusal = one_line(dsx(*arguments, folder=tmp_path), 2)
    assert f"study 'static' is being run by process {first.pid} on {HERE}" in refusal
    assert dsx("search", THREE, "--trials", 1, folder=tmp_path).code == 0
    listed = dsx("ls", "--json", folder=tmp_path).json["studies"]
    assert {row["study"]: row["running"] for row in listed} == {
        "static": f"{HERE}:{first.pid}",
        "three": "",
    }
    first.signal(INTERRUPT)
    assert first.wait().code == 130
    assert {row["running"] for row in dsx("ls", "--json", folder=tmp_path).json["studies"]} == {""}
