"""The script that compares the kernels with cuDNN runs, here on small cases on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dsx.conv.native.kernel import missing

SCRIPT = Path(__file__).parents[4] / "docs" / "gpu_convolutions.py"


@pytest.mark.slow
@pytest.mark.skipif(
    missing(torch.float32, torch.device("cpu")) is not None, reason="requires the compiled kernels"
)
def test_the_table_has_a_row_for_each_operator(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--reduced", "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    title, _, head, _, *rows = done.stdout.splitlines()
    assert title.startswith("processor, torch ")
    assert head.startswith("| operator, over | ieee, batch 2, forward | tf32, batch 2, forward |")
    # Three sliding windows over dense and grouped convolutions, four others over dense ones.
    assert len(rows) == 10
    cases = json.loads(out.read_text())["cases"]
    assert len(cases) == 28 and all(case["over"]["dense"] > 0 for case in cases)


@pytest.mark.skipif(torch.cuda.is_available(), reason="requires a machine without a GPU")
def test_without_a_gpu_the_reason_is_given() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "the kernels cannot run on cuda: torch finds no NVIDIA GPU\n"
