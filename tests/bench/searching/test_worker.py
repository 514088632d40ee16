"""Searches of a small space by all contenders, and the timing of their designs together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsx.bench.searching import contests, real
from dsx.bench.searching.contests import BARE, Contest
from dsx.bench.searching.joint import time_designs
from dsx.bench.searching.record import Record
from dsx.bench.searching.worker import CONTENDERS, run
from dsx.space import load_space

TEXT = """
model: small_cnn
model_args: {width: 4}
data: digits
train: {epochs: 1, batch_size: 256}
measure: {batch: 1, budget_seconds: 0.02, deploy: portable}
slots:
  - {match: "stages.0.*", kernel_shape: [full, cross, point, learned], groups: [1, 2]}
objectives: {accuracy: maximize, latency_ms: minimize, bits: minimize}
constraints: {flops: "<= 99%"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_contender_records_its_search(contender: str, file: Path, tmp_path: Path) -> None:
    found = run(load_space(str(file)), contender, 1, 4, tmp_path)
    assert (found.contender, found.seed, len(found.found)) == (contender, 1, 4)
    assert len({each.id for each in found.found}) == 4
    baseline, *others = found.found
    assert not baseline.feasible and all(each.feasible for each in others)
    times = [each.cpu for each in found.found]
    assert times[0] > 0 and times == sorted(times) and times[-1] <= found.cpu
    assert {each.test is None for each in found.found} == {False}
    assert {"accuracy", "latency_ms", "bits"} <= baseline.values.keys()
    assert found.facts.keys() >= {"device", "dsx", "torch", "optuna"}
    assert sum(found.stages.values()) <= found.cpu + 0.1
    ratios = time_designs(load_space(str(file)), [(found.found, tmp_path)], lambda _: None)
    assert ratios.keys() == {each.id for each in found.found} and min(ratios.values()) > 0


@pytest.mark.long
def test_searches_are_saved_and_resumed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contest = Contest(
        name="small", space=str(file), seeds={BARE: 2, "dsx screening": 1}, goal=contests.LEAST
    )
    reported: list[str] = []
    rows = list(real.run_contest(contest, 3, reported.append))
    assert [(row["contender"], row["seed"]) for row in rows] == [
        (BARE, 0), ("dsx screening", 0), (BARE, 1),
    ]  # fmt: skip
    records = sorted(real.saved().glob("small-*.json"))
    stamps = {path: path.stat().st_mtime_ns for path in records}
    assert len(records) == 3 + 2
    assert list(real.run_contest(contest, 3, reported.append)) == rows
    assert {path: path.stat().st_mtime_ns for path in records} == stamps


@pytest.mark.long
def test_the_worker_is_a_program(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found" / "record.json"
    command = [sys.executable, "-m", real.WORKER, str(file), BARE, "0", "2", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    read = Record.read(out)
    assert read is not None and len(read.found) == 2
    assert json.loads(out.read_text())["space"] == "small"
