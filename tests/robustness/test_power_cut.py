"""A measurement has reached the disk when a search reports it, judged by its system calls."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import plain_environment
from tests.robustness.conftest import Tally
from tests.search.spaces import TINY, varied

EPOCHS = 40
"""Space whose training takes longer than a second on any machine."""


@pytest.mark.long
def test_a_training_is_flushed_before_it_is_reported(tmp_path: Path, tally: Tally) -> None:
    space = varied(TINY, tmp_path, "epochs: 1", f"epochs: {EPOCHS}")
    trace = tmp_path / "trace"
    try:
        ended = subprocess.run(
            [
                *("strace", "-f", "--seccomp-bpf", "-y", "-s", "200", "-o", str(trace)),
                *("-e", "trace=fsync,fdatasync,pwrite64,write"),
                *(sys.executable, "-m", "dsx", "search", str(space), "--trials", "1"),
            ],
            cwd=tmp_path, env=plain_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    assert ended.returncode == 0, ended
    # System calls from the last write of the trained weights to the report.
    steps: list[str] = []
    for line in trace.read_text(errors="replace").splitlines():
        if re.search(r"write\(\d+<[^>]*/weights/", line):
            steps = ["weights"]
        elif re.search(r"pwrite64\(\d+<[^>]*dsx\.db-wal>", line):
            steps.append("commit")
        elif re.search(r"f(data)?sync\(\d+<[^>]*dsx\.db-wal>\)", line):
            steps.append("flush")
        elif re.search(r'write\(2<[^>]*>, "1/1 designs', line):
            break
    right = steps[:1] == ["weights"] and "flush" in steps[steps.index("commit") :]
    tally("liveness", right)
    assert right, steps
