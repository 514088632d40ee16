"""Load: a real process that computes all the time, and never longer than it is wanted."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dsx.bench._load import loaded
from dsx.errors import WorkFailed

PATIENCE_SECONDS = 60
ORPHAN = """
import os
import psutil
from dsx.bench._load import loaded
if __name__ == "__main__":
    with loaded():
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os._exit(0)
"""


def children() -> list[psutil.Process]:
    """The processes of this one that are no helpers of multiprocessing itself."""
    own = psutil.Process().children()
    return [child for child in own if "resource_tracker" not in " ".join(child.cmdline())]


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_a_process_computes_meanwhile_and_not_longer() -> None:
    before = children()
    with loaded():
        (process,) = [child for child in children() if child not in before]
        begun = used(process)
        until = time.monotonic() + PATIENCE_SECONDS
        while used(process) < begun + 0.2:
            assert time.monotonic() < until, "it does not compute"
            time.sleep(0.02)
    assert not process.is_running()


def test_a_load_that_ends_is_told() -> None:
    before = children()
    reason = r"^the process that was to load the machine has ended$"
    with pytest.raises(WorkFailed, match=reason), loaded():
        (process,) = [child for child in children() if child not in before]
        process.kill()
        until = time.monotonic() + PATIENCE_SECONDS
        # psutil calls it a zombie as soon as its first thread is gone; it ends with the last.
        while process.pid in {child.pid for child in multiprocessing.active_children()}:
            assert time.monotonic() < until, "it still runs"
            time.sleep(0.02)


def test_it_ends_when_the_process_that_wants_it_is_gone(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    told = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    until = time.monotonic() + PATIENCE_SECONDS
    while any(psutil.pid_exists(int(pid)) for pid in told.stdout.split()):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)
