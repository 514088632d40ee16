"""File locks: exclusive, released when a process ends, and shared between users."""

import os
import stat
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dsx.files.locks import locked
from tests.measure.crowd import NOBODY, Other


def hold(line: Connection, file: Path, seconds: float, user: int | None = None) -> None:
    """Hold a lock, optionally as another user, until a message arrives; send the outcome."""
    os.umask(0o077)
    if user is not None:
        os.setgid(user)
        os.setuid(user)
    try:
        with locked(file, seconds):
            line.send("held")
            line.recv()
    except OSError as error:
        line.send(str(error))


def test_one_thread_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "lock", 60):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_held_lock_is_an_error_and_a_killed_process_releases_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lock"
    with Other(hold, file, 60) as other:
        assert other.hear() == "held"
        refusal = rf"^another process has held {file} for 0\.05 s$"
        with pytest.raises(TimeoutError, match=refusal), locked(file, 0.05):
            raise AssertionError("held twice")
        other.process.kill()
        other.process.join()
        with locked(file, 0):
            pass


def test_an_error_releases_a_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"), locked(tmp_path / "lock", 0):
        raise ZeroDivisionError("by zero")
    with locked(tmp_path / "lock", 0):
        pass


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "lock"
    with pytest.raises(FileNotFoundError, match="missing/lock"), locked(file, 0):
        pass


def test_users_share_the_lock_file_of_the_first_user() -> None:
    """As in /tmp, where all users may write, but not to the files of other users."""
    root = os.geteuid() == 0
    first, second = (NOBODY, NOBODY - 1) if root else (None, None)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        file = Path(name, "lock")
        with Other(hold, file, 60, first) as one:
            assert one.hear() == "held"
            assert stat.S_IMODE(file.stat().st_mode) == 0o644
            if not root:
                # Without other users, a file that is not writable stands for one of another user.
                file.chmod(0o444)
            with Other(hold, file, 0.05, second) as other:
                assert "another process has held" in other.hear()
        with Other(hold, file, 60, second) as other:
            assert other.hear() == "held"
