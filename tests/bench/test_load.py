"""A real process that loads one core, and ends with the context or its parent process."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dsx.bench._load import load_one_core
from dsx.errors import WorkFailed

PATIENCE_SECONDS = 60
ORPHAN = """
import os
import psutil
from dsx.bench._load import load_one_core
if __name__ == "__main__":
    with load_one_core():
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os._exit(0)
"""


def children() -> list[psutil.Process]:
    """Return the child processes without the helpers of multiprocessing."""
    own = psutil.Process().children()
    return [child for child in own if "resource_tracker" not in " ".join(child.cmdline())]


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_a_process_computes_until_the_context_ends() -> None:
    before = children()
    with load_one_core():
        (process,) = [child for child in children() if child not in before]
        before_seconds = cpu_seconds(process)
        until = time.monotonic() + PATIENCE_SECONDS
        while cpu_seconds(process) < before_seconds + 0.2:
            assert time.monotonic() < until, "it does not compute"
            time.sleep(0.02)
    assert not process.is_running()


def test_a_process_that_ends_too_early_is_reported() -> None:
    before = children()
    reason = r"^the process that loads one core has ended"
    with pytest.raises(WorkFailed, match=reason), load_one_core():
        (process,) = [child for child in children() if child not in before]
        process.kill()
        until = time.monotonic() + PATIENCE_SECONDS
        # psutil reports a zombie as soon as the first thread has ended; it ends with the last.
        while process.pid in {child.pid for child in multiprocessing.active_children()}:
            assert time.monotonic() < until, "it still runs"
            time.sleep(0.02)


def test_the_process_ends_after_its_parent_process(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    until = time.monotonic() + PATIENCE_SECONDS
    while any(psutil.pid_exists(int(pid)) for pid in done.stdout.split()):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)
