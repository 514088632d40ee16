"""Noise check of this machine, and advice for noisy machines."""

import dataclasses

import pytest

from dsx.analysis.measurement import Machine, Process, from_json, to_json
from dsx.measure import this_device
from dsx.measure.machine.load import Load
from dsx.measure.timing import noise_check
from dsx.measure.timing import reference_workload as reference_workload
from dsx.measure.timing.noise_check import NoiseCheck

CALM = NoiseCheck(
    reference_ms=0.7,
    drift=1.0,
    block_spread=0.05,
    reading_spread=0.01,
    load=Load(False, Machine(stolen=0.0)),
    throttled=None,
)
HEAVY = Process(process="cc1plus", pid=4711, cores=0.93)


def test_check_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_workload, "CALIBRATION_CALLS", 20)
    reference_times: dict[str, float] = {}
    found = noise_check.check_noise(reference_times, 0.1, group_seconds=0.02)
    (reference,) = reference_times.values()
    assert found.drift == found.reference_ms / reference > 0
    assert found.reading_spread >= 0 and found.block_spread > 0
    assert from_json(Machine, to_json(found.load.machine)) == found.load.machine


def test_stable_machine_needs_no_advice() -> None:
    assert CALM.is_stable
    assert CALM.advice(dataclasses.replace(this_device(), power="")) == []


@pytest.mark.parametrize(
    ("changes", "is_stable", "advice"),
    [
        ({"load": Load(True, Machine(heavy=(HEAVY,)))}, False, "cc1plus"),
        ({"load": Load(True, Machine())}, False, "not visible"),
        ({"load": Load(False, Machine(stolen=0.1))}, True, "dedicated host"),
        ({"throttled": True}, False, "let it cool"),
        ({"drift": 1.5}, True, "calibrate=True"),
        ({"drift": 0.5}, True, "calibrate=True"),
    ],
)
def test_advice_names_the_problem(changes: dict[str, object], is_stable: bool, advice: str) -> None:
    found = dataclasses.replace(CALM, **changes)  # type: ignore[arg-type]
    assert found.is_stable is is_stable
    (line,) = found.advice(dataclasses.replace(this_device(), power=""))
    assert advice in line


def test_large_spread_is_not_stable() -> None:
    found = dataclasses.replace(CALM, reading_spread=0.06)
    assert not found.is_stable
    (line,) = found.advice(dataclasses.replace(this_device(), power=""))
    assert "no cause is visible" in line


def test_powersave_governor_is_named() -> None:
    (line,) = CALM.advice(dataclasses.replace(this_device(), power="governor powersave"))
    assert "performance" in line
