"""Repeatability: figures of given readings, and real readings."""

from pathlib import Path

import pytest

from dsx.analysis.measurement import Timing
from dsx.bench import _repeated
from dsx.bench._figures import Figure
from dsx.bench._networks import build_networks
from dsx.bench._repeated import Repeated
from dsx.bench.latency import TINY
from dsx.measure import Measurement, Provenance
from dsx.measure.timing import device_lock as lock


def reading(value: float, raw: float, converged: bool = True) -> Measurement:
    timing = Timing(
        clock="thread",
        raw_ms=raw,
        wall_ms=raw,
        reference_ms=1.0,
        reference_sample_ms=1.0,
        drift=1.0,
        corrected=True,
        blocks=1,
        calls=1,
        own_seconds=raw / 1e3,
        seconds=raw / 1e3,
    )
    provenance = Provenance(converged=converged, noisy=None, timing=timing)
    return Measurement(value=value, low=0.98 * value, high=1.02 * value, provenance=provenance)


COVERED = "readings whose interval contains the median of the network"
STEADY = [reading(value, 2 * value) for value in (1.0, 1.0, 1.0)]
MOVING = [reading(1.0, 1.0), reading(1.01, 2.0, converged=False), reading(1.2, 3.0)]
FOUND = Repeated(
    readings=[STEADY, MOVING],
    torch_seconds=[[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]],
    seconds=3,
    own_seconds=2,
)


def values(figures: list[Figure]) -> dict[str, float]:
    return {figure.figure: figure.value for figure in figures}


def test_spreads_are_those_of_each_network() -> None:
    found_values = values(FOUND.figures("idle"))
    # The 10th and 90th percentile of three values are a fifth of the way from the ends to the
    # middle.
    stored, raw = (1.162 - 1.002) / 1.01, (2.8 - 1.2) / 2
    for kind, worst in (("stored value", stored), ("raw median", raw)):
        assert found_values[f"spread of the {kind}, worst network"] == pytest.approx(worst)
        assert found_values[f"spread of the {kind}, median network"] == pytest.approx(worst / 2)
    assert found_values["spread of torch's adaptive_autorange, worst network"] == pytest.approx(0.8)


def test_flags_coverage_and_cost_are_ratios() -> None:
    found_values = values(FOUND.figures("idle"))
    # Only the interval of 1.2 does not contain 1.01.
    assert found_values[COVERED] == pytest.approx(5 / 6)
    scattered = [[reading(value, 1.0) for value in (0.9, 1.0, 1.2)]]
    found = Repeated(readings=scattered, torch_seconds=[[1.0]], seconds=1, own_seconds=1)
    assert values(found.figures("idle"))[COVERED] == pytest.approx(1 / 3)
    assert found_values["readings that are unconverged"] == pytest.approx(1 / 6)
    # If the load of the machine is not known, no reading is flagged.
    assert found_values["readings that are noisy"] == 0
    (cost,) = [figure for figure in FOUND.figures("idle") if figure.part == "cost"]
    assert (cost.value, cost.goal) == (1.5, _repeated.COST)


@pytest.mark.parametrize(("machine", "bound"), [("idle", 0.05), ("loaded", 0.1)])
def test_goals_apply_to_the_stored_value(machine: str, bound: float) -> None:
    goals = {figure.figure: figure.goal for figure in FOUND.figures(machine)}
    assert {name for name, goal in goals.items() if goal == _repeated.GOALS[machine]} == {
        "spread of the stored value, median network",
        "spread of the stored value, worst network",
    }
    assert _repeated.GOALS[machine].bound == bound


def test_a_loaded_machine_is_compared_with_an_idle_one() -> None:
    other = Repeated(
        readings=[[reading(1.1, 3.0)], [reading(1.01, 2.0)]],
        torch_seconds=[[2.0], [2.0]],
        seconds=1,
        own_seconds=1,
    )
    # The first network deviates by 10 %, 50 % and 100 %; the second one does not.
    assert [figure.value for figure in _repeated.compare_loaded(FOUND, other)] == pytest.approx(
        [0.05, 0.25, 0.5]
    )


def test_real_networks_are_timed_repeatedly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    timed = build_networks(TINY.space, 2, 0.02)
    found = _repeated.repeat(timed, 3)
    assert (
        [len(own) for own in found.readings] == [len(own) for own in found.torch_seconds] == [3, 3]
    )
    # dsx reports milliseconds and torch seconds.
    for ours, theirs in zip(found.values(_repeated.RAW), found.torch_seconds, strict=True):
        assert 0.1 < min(ours) / (1e3 * min(theirs)) < 10
    assert found.seconds > found.own_seconds > 0
