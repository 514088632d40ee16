"""One process at a time runs a study, regardless of clocks, names and stopped processes."""

import logging
import os
import shutil
import signal
import socket
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from dsx.activity import Event, Kind, active
from dsx.errors import StorageError
from dsx.measure import Measurement, this_device
from dsx.search.sampling.study import StudySampler
from dsx.store.database.engine import open_database
from dsx.store.database.schema import DesignRow, LeaseRow, MeasurementRow
from dsx.store.lease.lease import INTERVALS, Intervals, LeaseLost, claim
from dsx.store.measurements.measurements import MeasurementStore
from tests.cli.running import INTERRUPT, dsx, start, until
from tests.measure.crowd import Other
from tests.search.holding import (
    PATIENT,
    QUICK,
    STUCK,
    attempt,
    hold,
    hold_apart,
    holder_of,
    write,
)
from tests.search.looking import rows
from tests.search.spaces import STATIC, THREE

HERE = socket.gethostname()
TAKEN = "taken over by process"


@pytest.fixture
def engine(storage: str) -> Engine:
    return open_database(storage, create=True)


def leases(storage: str) -> list[tuple[str, int]]:
    return [(row.study, row.pid) for row in rows(storage, LeaseRow)]


def pids_that_wrote(storage: str) -> set[int]:
    return {int(row.model) for row in rows(storage, DesignRow)}


def files(storage: str) -> list[str]:
    folder = Path(storage.removeprefix("sqlite:///")).parent
    return [file.name for file in folder.iterdir() if file.suffix == ".lease"]


def test_a_study_is_held_while_it_is_run(storage: str, engine: Engine) -> None:
    with claim(engine, "s", PATIENT):
        assert leases(storage) == [("s", os.getpid())]
        with claim(engine, "another"):
            assert len(leases(storage)) == len(files(storage)) == 2
        refusal = rf"^study 's' is being run by process {os.getpid()} on {HERE} \(wait for it"
        with pytest.raises(StorageError, match=refusal), claim(engine, "s", PATIENT):
            raise AssertionError("held twice")
        assert leases(storage) == [("s", os.getpid())]
    assert (leases(storage), files(storage)) == ([], [])


def test_a_study_is_released_after_an_error(storage: str, engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), claim(engine, "s"):
        raise ZeroDivisionError("by zero")
    assert (leases(storage), files(storage)) == ([], [])


def test_a_running_holder_keeps_its_lease(storage: str) -> None:
    with Other(hold, storage, PATIENT) as other:
        assert other.hear() == "held"
        for _ in range(3):
            with Other(hold, storage, PATIENT) as contender:
                assert "is being run by process" in contender.hear()
        other.say("write")
        assert other.hear() == ""


def test_a_killed_holder_is_not_waited_for(
    storage: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with Other(hold, storage, PATIENT) as other:
        assert other.hear() == "held"
        other.process.kill()
        other.process.join()
        with Session(engine) as session, session.begin():
            # As after the restart of a container or in another network.
            session.execute(update(LeaseRow).values(host="renamed-since"))
        with claim(engine, "s", PATIENT):
            assert leases(storage) == [("s", os.getpid())]
    assert caplog.messages == []


def test_a_killed_holder_is_waited_for_without_proof_of_its_end(
    storage: str, engine: Engine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with Other(hold, storage, QUICK) as other:
        assert other.hear() == "held"
        pid = other.process.pid
        other.process.kill()
        other.process.join()
    (tmp_path / files(storage)[0]).unlink()
    begun: list[Event] = []
    looking = threading.Timer(0.3, lambda: begun.extend(step.event for step in active()))
    looking.start()
    with claim(engine, "s", QUICK) as lease:
        assert attempt(lease) == ""
        assert active() == ()
    looking.join()
    assert begun == [Event(kind=Kind.CHECKING_LEASE, detail=f"{HERE}:{pid}")]
    assert caplog.record_tuples == [
        (
            "dsx.store.lease.lease",
            logging.WARNING,
            f"study 's' is held by process {pid} on {HERE}; waiting for up to 0.6 s to see whether "
            "that process is alive",
        )
    ]


@pytest.mark.parametrize("number", [signal.SIGSTOP, 0], ids=["stopped", "heartbeat suspended"])
def test_a_holder_that_stops_responding_is_replaced_and_writes_nothing_more(
    storage: str, engine: Engine, number: int
) -> None:
    with Other(hold, storage, QUICK if number else STUCK) as other:
        assert other.hear() == "held"
        other.say("write")
        assert other.hear() == ""
        other.signal(number)
        with claim(engine, "s", QUICK) as lease:
            write(lease)
            before = rows(storage, DesignRow)
            other.signal(signal.SIGCONT)
            for request in ("write", "check"):
                other.say(request)
                assert TAKEN in other.hear()
            assert len(rows(storage, DesignRow)) == len(before) == 2
            # The end of the old holder does not affect the lease of the new one.
            other.say("release")
            assert other.hear() == "released"
            assert leases(storage) == [("s", os.getpid())]
            write(lease)


@pytest.mark.parametrize("shift", [-3600.0, 5.0, 1e7])
def test_wrong_clocks_have_no_effect(storage: str, shift: float) -> None:
    with Other(hold, storage, PATIENT, shift) as other:
        assert other.hear() == "held"
        with Other(hold, storage, PATIENT, -shift) as contender:
            assert "is being run by process" in contender.hear()


def test_process_namespaces_and_a_shared_host_name_have_no_effect(storage: str) -> None:
    """Both holders are process 1 on host `box`."""
    with Other(hold_apart, storage, PATIENT) as one:
        heard = one.hear()
        if heard.startswith("no namespaces"):
            pytest.skip(heard)
        assert heard == "held"
        row = holder_of(storage)
        assert row is not None and (row.host, row.pid) == ("box", 1)
        with Other(hold_apart, storage, PATIENT) as other:
            assert other.hear().startswith("study 's' is being run by process 1 on box ")
    # All processes of the first holder were killed.
    with Other(hold_apart, storage, PATIENT) as other:
        assert other.hear() == "held"


def test_one_of_several_processes_replaces_a_killed_holder(storage: str, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(LeaseRow(study="s", token="dead", counter=7, host="gone", pid=1))
    ready, done = threading.Barrier(6), threading.Barrier(6)
    ends: list[str] = []

    def contend() -> None:
        ready.wait()
        try:
            with claim(engine, "s", QUICK):
                ends.append("held")
                done.wait()
        except StorageError as error:
            ends.append(str(error))
            done.wait()

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("held") == 1
    assert sum("is being run by process" in end for end in ends) == 5


def test_a_copy_of_a_database_in_use_can_be_used_after_a_wait(
    storage: str, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    copy = f"sqlite:///{tmp_path}/copy/dsx.db"
    with claim(engine, "s", QUICK) as lease:
        for file in tmp_path.glob("dsx.db*"):
            shutil.copy(file, tmp_path / "copy")
        with claim(open_database(copy, create=True), "s", QUICK) as other:
            assert (attempt(lease), attempt(other)) == ("", "")


def test_without_its_lease_a_process_saves_measurements_but_no_trials(
    storage: str, engine: Engine
) -> None:
    measurements = MeasurementStore(engine, this_device())
    protocol = measurements.add_protocol("latency_ms", {})
    with claim(engine, "s", STUCK) as old:
        write(old)
        (design,) = rows(storage, DesignRow)
        store = StudySampler(old.engine, "s", {"params": "minimize"}, seed=0)
        draw = store.ask(at_random=False)
        with claim(engine, "s", QUICK) as new:
            for work in (
                lambda: draw.complete({"params": 1.0}, {}),
                lambda: store.ask(at_random=False),
                lambda: store.enqueue({"a": "b"}),
                lambda: draw.suggest("a", ["b", "c"]),
            ):
                with pytest.raises(LeaseLost, match=TAKEN):
                    work()
            measurements.add(
                design.id, "latency_ms", protocol, Measurement(value=1.0, low=1.0, high=1.0)
            )
            assert len(rows(storage, MeasurementRow)) == 1
            # The next holder finds the trial unchanged.
            (left,) = StudySampler(new.engine, "s", {"params": "minimize"}, seed=0).unfinished()
            assert left.params == {}
            left.fail()


def test_a_reader_does_not_need_the_lease(engine: Engine) -> None:
    with claim(engine, "s", STUCK) as old, claim(engine, "s", QUICK):
        with Session(old.engine) as session, session.begin():
            assert session.get(LeaseRow, "s") is not None
        with pytest.raises(LeaseLost, match=TAKEN):
            old.check()


def test_a_holder_detects_that_it_lost_the_lease(engine: Engine) -> None:
    with claim(engine, "s", QUICK) as old:
        old.check_seen()
        with Session(engine) as session, session.begin():
            session.execute(update(LeaseRow).values(token="another", host="elsewhere", pid=7))

        def seen() -> bool:
            try:
                old.check_seen()
            except LeaseLost as lost:
                assert "taken over by process 7 on elsewhere" in str(lost)
                return True
            return False

        until(seen, "the next increment fails")


def test_a_lease_whose_row_was_deleted_is_lost(storage: str, engine: Engine) -> None:
    with claim(engine, "s", STUCK) as old:
        with claim(engine, "s", QUICK):
            pass
        assert leases(storage) == []
        assert "was taken over by another process" in attempt(old)


def test_the_intervals_allow_for_two_late_increments() -> None:
    assert Intervals() == INTERVALS == Intervals(increment=5, takeover=15, poll=0.5)


def test_a_second_search_of_a_study_is_rejected_and_names_the_process(tmp_path: Path) -> None:
    arguments = ("search", STATIC, "--trials", 500)
    first = start(*arguments, folder=tmp_path)
    until(lambda: "0/500" in first.err, "the first search is under way")
    refused = dsx(*arguments, folder=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    waiting, refusal = refused.err.splitlines()
    assert waiting.startswith(f"study 'static' is held by process {first.pid} on {HERE}; waiting")
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
