"""Device lock between real processes: timings are undisturbed, and no process waits forever."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from dsx.errors import WorkFailed
from dsx.measure.timing import device_lock as lock
from dsx.measure.timing.device_lock import exclusive, shared
from tests.cli.running import until
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.crowd import (
    Log,
    Other,
    time_often,
    time_once,
    time_with_children,
    train_on,
)
from tests.measure.held import is_held

ENDLESS = 100_000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a separate folder for lock files."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Log of the processes of this test."""
    return Log(tmp_path / "log")


def never() -> None:
    raise AssertionError("it was free")


def test_timings_do_not_overlap_and_all_proceed(folder: Path, log: Log) -> None:
    turns, others = 25, [Other(time_often, folder, log, 25) for _ in range(4)]
    for other in others:
        assert other.hear() == "ready"
    for other in others:
        other.say("go")
    for other in others:
        with other:
            assert other.hear() == "done"
    lines = log.lines
    begins, ends = lines[::2], lines[1::2]
    assert [line.replace("begin", "end") for line in begins] == ends
    pids = [str(other.process.pid) for other in others]
    assert sorted(begins) == sorted(f"begin {pid}" for pid in pids for _ in range(turns))


def test_process_that_times_repeatedly_does_not_overtake(folder: Path, log: Log) -> None:
    for _ in range(5):
        with ExitStack() as stack:
            with exclusive("cpu"):
                other = stack.enter_context(Other(time_once, folder, "cpu"))
                assert other.hear() == "waiting"
            # Even if the other process does not run yet, this one is second.
            other.say("go on")
            with exclusive("cpu"):
                assert [other.hear(), other.hear()] == ["held", "free"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_process_releases_the_lock(folder: Path, number: int) -> None:
    with Other(time_once, folder, "cpu") as first, Other(time_once, folder, "cpu") as second:
        firsts = [other for other in (first, second) if other.hear() == "held"]
        (waits,) = {first, second} - set(firsts)
        (holds,) = firsts
        holds.signal(number)
        assert waits.hear() == "held"


def test_stopped_process_keeps_the_lock(folder: Path) -> None:
    with Other(time_once, folder, "cpu") as first:
        assert first.hear() == "held"
        first.signal(signal.SIGSTOP)
        with Other(time_once, folder, "cpu") as second:
            assert second.hear() == "waiting"
            first.say("go on")
            assert not second.line.poll(0.2)
            first.signal(signal.SIGCONT)
            assert second.hear() == "held"


def test_nested_lock_has_no_effect(folder: Path) -> None:
    with exclusive("cpu", never):
        with exclusive("cpu", never):
            assert is_held("cpu")
        assert is_held("cpu")
        with Other(time_once, folder, "cpu") as other:
            assert other.hear() == "waiting"
    assert not is_held("cpu")


def test_threads_of_one_process_exclude_each_other() -> None:
    waits, held = threading.Event(), threading.Event()

    def work() -> None:
        with exclusive("cpu", waits.set):
            held.set()

    with exclusive("cpu"):
        thread = threading.Thread(target=work)
        thread.start()
        assert waits.wait(60)
        assert not held.is_set()
    assert held.wait(60)
    thread.join()


def test_devices_do_not_exclude_each_other(folder: Path) -> None:
    with exclusive("cpu"), Other(time_once, folder, "gpu") as other:
        assert other.hear() == "held"
        with pytest.raises(AssertionError, match="it was free"), exclusive("gpu", never):
            pass


def test_waiting_is_reported_once(folder: Path) -> None:
    recorded: list[str] = []
    with Other(time_once, folder, "cpu") as other:
        assert other.hear() == "held"

        def release() -> None:
            recorded.append("timed")
            other.say("go on")

        with exclusive("cpu", release):
            pass
        with exclusive("cpu", never):
            pass
    assert recorded == ["timed"]


def test_waiting_for_shared_work_is_reported() -> None:
    waits, over = threading.Event(), threading.Event()
    seen: list[str] = []

    def work() -> None:
        with shared("cpu") as yield_device:
            yield_device()
            seen.append("shares")
            ready.set()
            assert waits.wait(60)
            yield_device()
            seen.append("goes on")
        over.set()

    ready = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(60)
    with exclusive("cpu", waits.set):
        seen.append("timed")
    assert over.wait(60)
    thread.join()
    assert waits.is_set()
    assert seen == ["shares", "timed", "goes on"]


def test_lock_that_would_wait_for_itself_is_rejected() -> None:
    refused = pytest.raises(AssertionError, match="wait for itself")
    with exclusive("cpu"), refused, shared("cpu"):
        pass
    with shared("cpu"), refused, exclusive("cpu"):
        pass
    with shared("cpu"), refused, shared("cpu"):
        pass
    with exclusive("cpu", never):
        pass


def test_lock_that_cannot_be_created_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path / "missing")
    one_line = r"^[^\n]*missing/dsx-cpu\.queue [^\n]* No such file[^\n]*$"
    with pytest.raises(WorkFailed, match=one_line), exclusive("cpu"):
        pass


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like /tmp that all users can write to, for a user with a strict umask."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(lock, "FOLDER", Path(name))
        before = os.umask(0o077)
        yield Path(name)
        os.umask(before)


def test_users_share_the_locks_of_the_first_user(public: Path) -> None:
    root = os.geteuid() == 0
    with exclusive("cpu"):
        files = sorted(public.iterdir())
        assert [file.stat().st_mode & 0o777 for file in files] == [0o644] * 3
        if not root:
            # Without root there is no other user; files of others are not writable either.
            for file in files:
                file.chmod(0o444)
        other = Other(time_once, public, "cpu", root)
        assert other.hear() == "waiting"
    with other:
        assert other.hear() == "held"
        assert is_held("cpu")


def test_child_processes_do_not_keep_the_lock(folder: Path) -> None:
    for killed in (True, False):
        with Other(time_with_children, folder) as parent:
            children = parent.hear()
            try:
                assert is_held("cpu")
                if killed:
                    parent.signal(signal.SIGKILL)
                    parent.process.join()
                else:
                    parent.say("go on")
                    assert parent.hear() == "free"
                with exclusive("cpu", never):
                    pass
            finally:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)


def test_forked_process_does_not_release_the_lock_of_its_parent(folder: Path) -> None:
    with exclusive("cpu"):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                # The child process holds no lock.
                code = int("cpu" in lock._held.exclusive)
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert is_held("cpu")


def check_pauses(lines: list[str]) -> None:
    """Check that no training made a step during a timing, and at most one before its start."""
    timed, waited, steps = False, False, list[str]()
    for line in lines:
        if not line.startswith("step"):
            timed, waited, steps = line == "begin", line == "waiting", []
        elif timed or waited:
            steps.append(line)
            assert not timed and len(set(steps)) == len(steps), lines


def steps(log: Log, name: str) -> int:
    return log.lines.count(f"step {name}")


def time_for_a_while(log: Log, *names: str) -> None:
    """Time once, and wait until all trainings continue."""
    with exclusive("cpu", lambda: log.note("waiting")):
        log.note("begin")
        # Long enough for many steps.
        time.sleep(0.1)
        log.note("end")
    before = {name: steps(log, name) for name in names}
    until(lambda: all(steps(log, name) > before[name] + 1 for name in names), "all go on")


def test_training_pauses_and_yields_the_same_weights(folder: Path, log: Log) -> None:
    with Other(train_on, folder, log, "a", 8) as other:
        assert other.hear() == "ready"
        until(lambda: steps(log, "a") > 3, "the training begins")
        for _ in range(3):
            time_for_a_while(log, "a")
        disturbed = other.hear()
    check_pauses(log.lines)
    assert log.lines.count("waiting") == 3
    one = candidate(SMALL.replace("epochs: 1", "epochs: 8"), SPECS)
    undisturbed = one.trained().state_dict()
    assert {name: tensor.tolist() for name, tensor in undisturbed.items()} == disturbed
    assert steps(log, "a") == 8 * (len(one.splits.train) // 64)


def test_trainings_share_a_device_and_a_timing_proceeds(folder: Path, log: Log) -> None:
    with (
        Other(train_on, folder, log, "a", ENDLESS) as one,
        Other(train_on, folder, log, "b", ENDLESS) as other,
    ):
        assert (one.hear(), other.hear()) == ("ready", "ready")
        until(lambda: min(steps(log, "a"), steps(log, "b")) > 3, "both train")
        for _ in range(4):
            time_for_a_while(log, "a", "b")
    check_pauses(log.lines)


def test_killed_training_releases_the_lock(folder: Path, log: Log) -> None:
    with Other(train_on, folder, log, "a", ENDLESS) as other:
        assert other.hear() == "ready"
        until(lambda: steps(log, "a") > 3, "the training begins")
        other.signal(signal.SIGSTOP)
        killer = threading.Timer(0.05, other.signal, [signal.SIGKILL])
        with exclusive("cpu", killer.start):
            pass
        killer.join()
    assert torch.get_num_threads() == 1
