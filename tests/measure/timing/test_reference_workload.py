"""Reference workload: one reference time for each situation, measured once."""

import importlib.metadata
import json
import statistics

import pytest
import torch

from dsx.lookup import find, names
from dsx.measure.backends import Backend
from dsx.measure.timing import reference_workload as workload_module
from dsx.measure.timing.clock import CpuClock, Times
from dsx.measure.timing.reference_workload import (
    CALIBRATION_CALLS,
    COPIES,
    MIN_CALIBRATION_CALLS,
    VERSION,
    ReferenceWorkload,
    _copies,
    reference_backend,
)
from dsx.measure.timing.workload_class import ALONE, Grain, WorkloadClass

COARSE = WorkloadClass(grain="coarse", network="0123456789ab x1024 bfloat16 channels_last")


def nothing() -> None:
    """Do nothing."""


class Scripted:
    """A clock that runs the call and returns given times."""

    name, device = "scripted", "cpu"

    def __init__(self, times: list[float]) -> None:
        self.left = list(times)
        self.runs: list[object] = []

    def time(self, run: object, calls: int) -> Times:
        self.runs.append(run)
        own = self.left.pop(0)
        return Times(own, own)


def test_situation_contains_backend_clock_threads_and_version() -> None:
    texts = {
        ReferenceWorkload(CpuClock(name), threads, backend).situation
        for name, threads, backend in (
            ("thread", 1, "eager"), ("process", 1, "eager"), ("wall", 2, "eager"),
            ("wall", 3, "eager"), ("thread", 1, "openvino"), ("thread", 1, "compile"),
        )
    }  # fmt: skip
    assert len(texts) == 5
    assert json.loads(ReferenceWorkload(CpuClock("wall"), 2).situation) == {
        "reference_workload": VERSION, "backend": "eager", "clock": "wall", "threads": 2,
        "grain": "fine", "network": "",
    }  # fmt: skip
    beside = ReferenceWorkload(CpuClock("wall"), 2, workload=COARSE)
    assert json.loads(beside.situation)["network"] == COARSE.network
    # The maximum length of the key of a table.
    assert len(beside.situation) <= 255


def test_situation_contains_the_version_of_the_backend() -> None:
    facts = json.loads(ReferenceWorkload(CpuClock("thread"), 1, "openvino").situation)
    assert facts["openvino"] == importlib.metadata.version("openvino")


@pytest.mark.parametrize("grain", COPIES)
@pytest.mark.parametrize("backend", names(Backend))
def test_output_is_equal_in_each_backend(backend: str, grain: Grain) -> None:
    own = find(Backend, backend).own_reference_workload
    assert reference_backend(backend) == (backend if own else "eager")
    runs = _copies("cpu", reference_backend(backend), 1, grain)
    assert len({id(run) for run in runs}) == COPIES[grain]
    with torch.inference_mode():
        for run, eager in zip(runs, _copies("cpu", "eager", 1, grain), strict=True):
            torch.testing.assert_close(run(), eager(), rtol=1e-4, atol=1e-5)


def test_reference_time_is_measured_once_and_then_looked_up() -> None:
    reference_workload = ReferenceWorkload(CpuClock("thread"), 1)
    reference_times: dict[str, float] = {}
    first = reference_workload.reference(reference_times, nothing)
    assert reference_times == {reference_workload.situation: first}
    assert first > 0
    reference_times[reference_workload.situation] = 7.0
    assert ReferenceWorkload(CpuClock("thread"), 1).reference(reference_times, nothing) == 7.0
    assert list(reference_times) == [reference_workload.situation]


def test_reference_time_is_the_median_of_the_faster_half() -> None:
    times = [float(n) for n in range(CALIBRATION_CALLS)]
    clock = Scripted(times[::-1])
    calls: list[int] = []
    found = ReferenceWorkload(clock, 1).calibrate(lambda: calls.append(len(clock.left)))
    assert found == statistics.median(times[: CALIBRATION_CALLS // 2])
    assert clock.left == []
    # The network was run before each of the calls.
    assert calls == list(range(CALIBRATION_CALLS, 0, -1))


def test_calibration_with_a_slow_network_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload_module, "CALIBRATION_SECONDS", 0.0)
    clock = Scripted([1.0] * CALIBRATION_CALLS)
    assert ReferenceWorkload(clock, 1).calibrate(nothing) == 1.0
    assert len(clock.left) == CALIBRATION_CALLS - MIN_CALIBRATION_CALLS


@pytest.mark.parametrize("workload", [ALONE, COARSE])
def test_copies_are_run_cyclically(workload: WorkloadClass) -> None:
    copies = COPIES[workload.grain]
    clock = Scripted([1.0] * 2 * copies)
    reference_workload = ReferenceWorkload(clock, 1, workload=workload)
    for _ in range(2 * copies):
        assert reference_workload.time(3) == 1.0
    assert len(set(map(id, clock.runs))) == copies
    assert clock.runs[:copies] == clock.runs[copies:]


@pytest.fixture
def first_time() -> None:
    """Clear the cache of the network."""
    _copies.cache_clear()


@pytest.mark.usefixtures("first_time")
def test_network_is_deterministic_and_the_random_state_unchanged() -> None:
    before = torch.get_rng_state()
    copies = COPIES["fine"]
    clock = Scripted([1.0] * copies)
    reference_workload = ReferenceWorkload(clock, 1)
    for _ in range(copies):
        reference_workload.time()
    assert torch.equal(torch.get_rng_state(), before)
    with torch.inference_mode():
        sums = [float(run().double().sum()) for run in clock.runs]  # type: ignore[operator]
    assert len(set(sums)) == copies
    _copies.cache_clear()
    again = Scripted([1.0] * copies)
    other = ReferenceWorkload(again, 1)
    for _ in range(copies):
        other.time()
    with torch.inference_mode():
        assert [float(run().double().sum()) for run in again.runs] == sums  # type: ignore[operator]


@pytest.mark.usefixtures("first_time")
def test_training_is_possible_after_inference_mode() -> None:
    with torch.inference_mode():
        clock = Scripted([1.0])
        ReferenceWorkload(clock, 1).time()
    (run,) = clock.runs
    assert not run.args[0].is_inference()  # type: ignore[attr-defined]


@pytest.mark.parametrize("calls", [1, 10])
def test_reference_sample_is_the_time_of_one_call(calls: int) -> None:
    reference_workload = ReferenceWorkload(CpuClock("thread"), 1)
    sample, block = reference_workload.time(calls), reference_workload.time(50)
    assert block / 20 < sample < block * 20
