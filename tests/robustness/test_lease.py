"""Real searches: only one process runs a study at a time, and a dead process never locks it."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dsx.analysis import TrialState
from dsx.store.database.schema import LeaseRow
from tests.cli.running import KILL, Running, dsx, plain_environment, start, until
from tests.robustness.conftest import Tally
from tests.search.looking import measured, rows, states
from tests.search.spaces import STATIC

STORAGE = "sqlite:///studies/dsx.db"
MANY = 2000


def until_begun(running: Running) -> None:
    """Wait until a search reports its first line."""
    until(lambda: " designs, " in running.err, "the search has started")


def check_whole(folder: Path, trials: int) -> None:
    """Check that a study has no repeated measurement and no open trial."""
    storage = f"sqlite:///{folder}/studies/dsx.db"
    assert Counter(measured(storage).values()).keys() == {1}
    ended = states(storage, "static")
    assert (ended[TrialState.COMPLETE], ended["running"], ended["failed"]) == (trials, 0, 0)
    assert rows(storage, LeaseRow) == []


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.long)])
def test_a_killed_search_is_resumed_at_once(tmp_path: Path, tally: Tally, kills: int) -> None:
    for number in range(kills):
        running = start("search", STATIC, "--trials", MANY, folder=tmp_path)
        until_begun(running)
        time.sleep(random.uniform(0, 0.3))
        assert running.code is None, running.err
        running.signal(KILL)
        right = running.wait().code == -KILL and (number == 0 or "waiting" not in running.err)
        tally("liveness", right)
        assert right, running.err
    resumed = dsx("search", STATIC, "--trials", 6, folder=tmp_path)
    assert resumed.code in (0, 1) and "waiting" not in resumed.err, resumed


@pytest.mark.long
@pytest.mark.timing
@pytest.mark.parametrize("server", [False, True], ids=["file", "server"])
def test_a_search_that_was_suspended_for_a_minute_is_replaced_and_ends(
    tmp_path: Path, tally: Tally, server: bool, request: pytest.FixtureRequest
) -> None:
    storage = request.getfixturevalue("postgres_storage") if server else STORAGE
    arguments = ("search", STATIC, "--storage", storage, "--trials")
    old = start(*arguments, MANY, folder=tmp_path)
    until_begun(old)
    time.sleep(1)
    old.signal(signal.SIGSTOP)
    begin = time.monotonic()
    new = dsx(*arguments, 1, folder=tmp_path)
    assert new.code in (0, 1) and "waiting for up to 15 s" in new.err, new
    time.sleep(max(0.0, 60 - (time.monotonic() - begin)))
    old.signal(signal.SIGCONT)
    ended = old.wait()
    *_, line = ended.err.splitlines()
    right = ended.code == 1 and line.startswith("dsx: study 'static' was taken over by ")
    tally("liveness", right)
    assert right and "Traceback" not in ended.err, ended
    again = dsx(*arguments, MANY // 100, folder=tmp_path)
    assert again.code in (0, 1), again
    if not server:
        check_whole(
            tmp_path, states(f"sqlite:///{tmp_path}/studies/dsx.db", "static")[TrialState.COMPLETE]
        )


@pytest.mark.long
def test_two_containers_of_one_name_do_not_run_one_study(tmp_path: Path, tally: Tally) -> None:
    """Both searches are process 1 of the host `box`."""
    command = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("namespaces cannot be created here")
    search = f"hostname box; exec {sys.executable} -m dsx search {STATIC} --trials {MANY}"
    first, second = (
        subprocess.Popen(
            [*command, search], cwd=tmp_path, env=plain_environment(), stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True,
        )
        for _ in range(2)
    )  # fmt: skip
    done = [process for process in (first, second) if _ends(process, 60)]
    (refused,) = done
    (winner,) = {first, second} - {refused}
    right = "is being run by process 1 on box" in refused.communicate()[1]
    tally("liveness", right)
    assert right and refused.returncode == 2
    winner.kill()
    winner.communicate()
    assert socket.gethostname() != "box"
    resumed = dsx("search", STATIC, "--trials", 3, folder=tmp_path)
    assert resumed.code in (0, 1) and "waiting" not in resumed.err, resumed


def _ends(process: "subprocess.Popen[str]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
