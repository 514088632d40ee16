"""Latency of the deployed network with the settings of the space."""

import json
import statistics
from pathlib import Path

import pytest
import torch

from dsx.analysis.measurement import Provenance, from_json, to_json
from dsx.conv import ConvSpec
from dsx.measure import Candidate
from dsx.measure.backends import Backend, eager
from dsx.measure.metrics.latency_ms import METRIC, read_latencies
from dsx.measure.timing import device_lock as lock
from dsx.measure.timing import reference_workload as reference_workload
from dsx.measure.timing.clock import CpuClock
from dsx.measure.timing.interleaved import PROTOCOL
from dsx.measure.timing.reference_workload import ReferenceWorkload
from dsx.space.measure_settings import with_measure_settings
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.measure.crowd import held_by_other
from tests.measure.facts import deployment, timing
from tests.measure.work import spin
from tests.space.space_files import replaced, space

QUICK = SMALL.replace("batch: 1}", "budget_seconds: 0.05}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a separate lock folder and a fast calibration."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    monkeypatch.setattr(reference_workload, "CALIBRATION_CALLS", 10)
    return tmp_path


def test_reading_has_provenance() -> None:
    one = candidate(QUICK, SPECS)
    reading = METRIC.read(one)
    recorded = deployment(reading)
    assert set(recorded.forms) == set(SPECS)
    assert (recorded.folded_norms, recorded.untraced) == (7, None)
    assert timing(reading).clock == "thread"
    assert reading.low <= reading.value <= reading.high
    assert reading.value == statistics.median(reading.samples)
    assert len(one.reference_times) == 1
    stored = json.loads(json.dumps(to_json(reading.provenance)))
    assert from_json(Provenance, stored) == reading.provenance


def test_the_deployed_network_is_timed_on_the_sample_with_the_threads_of_the_space() -> None:
    one = candidate(SMALL.replace("batch: 1}", "batch: 3, threads: 2, budget_seconds: 0.05}"))
    # On a loaded machine, two threads take seconds for a short computation.
    one.reference_times[ReferenceWorkload(CpuClock("wall"), 2).situation] = 0.2
    seen = set()
    one.deployed.register_forward_pre_hook(
        lambda module, inputs: seen.add((tuple(inputs[0].shape), torch.get_num_threads()))
    )
    assert timing(METRIC.read(one)).clock == "wall"
    assert seen == {((3, 1, 8, 8), 2)}
    assert torch.get_num_threads() == 1


def test_waiting_for_the_device_lock_is_reported(folder: Path) -> None:
    one = candidate(QUICK)
    # Prepared beforehand, because preparation also acquires the device lock.
    assert one.run is not None
    with held_by_other(folder) as (waiting, recorded):
        one.on_lock_wait = waiting
        METRIC.read(one)
    assert recorded == ["waiting"]


def test_network_can_be_trained_after_its_latency_was_measured() -> None:
    one = candidate(QUICK, SPECS)
    METRIC.read(one)
    assert len(one.trained().state_dict()) > 0


def test_protocol_includes_timing_protocol_and_settings_of_the_space() -> None:
    base = METRIC.protocol(with_measure_settings(space(SMALL), deploy="portable"))
    assert PROTOCOL.items() <= base.items()
    assert base["packages"] == {}
    assert json.loads(json.dumps(base)) == base
    for words in ("batch: 2", "threads: 2", "channels_last: true", "target_width: 0.1",
                  "budget_seconds: 9.0", "deploy: native", "dtype: float64"):  # fmt: skip
        other = METRIC.protocol(space(SMALL.replace("batch: 1}", f"{words}}}")))
        assert other != base, words


SHORT = replaced("measure: {batch: 1}", "measure: {batch: 1, budget_seconds: 0.05}")

ELSEWHERE = Backend(prepare=eager.prepare, clock="process")
"""A backend with the clock of one that uses its own threads."""


@pytest.mark.timing
@pytest.mark.parametrize("other", ["eager", f"{__name__}:ELSEWHERE"])
def test_each_candidate_gets_its_own_latency_and_forms(other: str) -> None:
    loaded = space(SHORT)
    design = loaded.design({"stages.0.conv1": ConvSpec(kernel_shape="cross")})
    fast = Candidate(loaded, design)
    slow = Candidate(with_measure_settings(loaded, backend=other), loaded.baseline)
    # A replacement for a network that takes many times as long.
    slow.__dict__["run"] = lambda: spin(0.01)
    for candidates in ([fast, slow], [slow, fast]):
        readings = read_latencies(candidates)
        found = dict(zip(map(id, candidates), readings, strict=True))
        assert found[id(slow)].value > 3 * found[id(fast)].value
        assert list(deployment(found[id(fast)]).forms) == ["stages.0.conv1"]
        assert deployment(found[id(slow)]).forms == {}
        assert {deployment(reading).untraced for reading in readings} == {None}


def test_no_candidates() -> None:
    assert read_latencies([]) == []
