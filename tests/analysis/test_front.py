"""The front of a study and the selection of designs."""

import dataclasses
import math
import re
from typing import Any

import pytest

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Direction, Entry, Front
from dsx.errors import DsxError, WorkFailed


def value(number: float) -> Estimate:
    return Estimate(value=number, low=number, high=number)


def entry(trial: int, feasible: bool = True, **metrics: float) -> Entry:
    return Entry(
        id=f"{trial:04x}{trial:08d}",
        trial=trial,
        feasible=feasible,
        metrics={name: value(number) for name, number in metrics.items()},
        spec={},
        description="",
        redesigned=1,
        fallbacks=None,
    )


def front(*entries: Entry, **directions: Direction) -> Front:
    objectives: dict[str, Direction] = directions or {"flops": "minimize", "accuracy": "maximize"}
    return Front(
        study="digits-1",
        space="digits",
        objectives=objectives,
        units={},
        entries=entries,
        baseline=entry(0).id,
        reference=dict.fromkeys(objectives, 0.0),
    )


def trials(entries: tuple[Entry, ...]) -> list[int]:
    return [entry.trial for entry in entries]


def test_nan_is_rejected() -> None:
    with pytest.raises(AssertionError, match="has a NaN"):
        front(entry(1, flops=math.nan, accuracy=0.5))


def test_the_front_respects_directions_and_ties_and_excludes_infeasible_designs() -> None:
    found = front(
        entry(0, flops=100, accuracy=0.9),
        entry(1, flops=50, accuracy=0.8),
        entry(2, flops=50, accuracy=0.7),
        entry(3, flops=50, accuracy=0.8),
        entry(4, flops=1, accuracy=1.0, feasible=False),
        entry(5, flops=200, accuracy=0.9),
        entry(6, feasible=False),
    )
    assert trials(found.on_front) == [0, 1, 3]


def test_equal_designs_and_missing_objectives_raise_an_assertion_error() -> None:
    with pytest.raises(AssertionError, match="equal designs"):
        front(entry(1, flops=1, accuracy=1), entry(1, flops=2, accuracy=1))
    with pytest.raises(AssertionError, match=r"lacks .*accuracy"):
        front(entry(1, flops=1))


def test_the_reference_point_has_the_original_signs() -> None:
    found = Front(
        study="s",
        space="s",
        objectives={"flops": "minimize", "accuracy": "maximize"},
        units={},
        entries=(entry(0, flops=100, accuracy=0.8), entry(1, flops=60, accuracy=0.7)),
        baseline="",
        reference={"accuracy": 0.6, "flops": 110},
    )
    assert found.hypervolume == pytest.approx(10 * 0.2 + 50 * 0.1 - 10 * 0.1)
    assert front().hypervolume == 0.0


def test_knee_is_nearest_the_ideal_point_of_scaled_objectives() -> None:
    ends = [entry(1, flops=0, accuracy=0.0), entry(2, flops=1000, accuracy=1.0)]
    near, far = entry(3, flops=300, accuracy=0.8), entry(4, flops=500, accuracy=0.85)
    assert front(*ends, near, far).knee is near
    # Without scaling #5 would be nearer, because flops are much larger than accuracies.
    assert front(*ends, near, far, entry(5, flops=10, accuracy=0.1)).knee is near


def test_ties_of_the_knee_are_resolved_by_id_and_constant_objectives_are_ignored() -> None:
    tied = [entry(3, flops=2, accuracy=0.5), entry(2, flops=1, accuracy=0.25)]
    assert front(*tied).knee is tied[1]
    same = [entry(n, a=1, b=n, c=-n) for n in (1, 2, 3)]
    assert front(*same, a="minimize", b="minimize", c="minimize").knee is same[1]


def test_the_knee_is_defined_with_infinite_values() -> None:
    infinite, middle = entry(1, a=math.inf, b=0), entry(2, a=1, b=0.2)
    rest = [entry(3, a=0, b=2), entry(4, a=2, b=0.1)]
    found = front(infinite, middle, *rest, a="minimize", b="minimize")
    assert trials(found.on_front) == [1, 2, 3, 4]
    assert found.knee is middle
    best = front(entry(1, a=-math.inf, b=3), a="minimize", b="minimize")
    assert best.knee.trial == 1


def test_a_design_is_picked_by_every_kind_of_name() -> None:
    found = front(
        entry(0, flops=100, accuracy=0.9),
        entry(12, flops=20, accuracy=0.8),
        entry(0xABC, flops=10, accuracy=0.1),
        entry(7, flops=200, accuracy=0.1, feasible=False),
    )
    assert found.pick("knee").trial == 12
    assert found.pick("baseline").trial == found.pick("accuracy").trial == 0
    assert found.pick("flops").trial == found.pick("0abc").trial == found.pick("0ABC0").trial
    assert found.pick("#12").trial == 12
    assert found.pick(entry(7).id).trial == 7


def test_ties_of_the_best_design_are_resolved_by_the_distance_to_the_ideal_point() -> None:
    points = [entry(1, a=0, b=9, c=0), entry(2, a=0, b=1, c=1), entry(3, a=5, b=0, c=2)]
    found = front(*points, a="minimize", b="minimize", c="minimize")
    assert found.best("a").trial == 2


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("kne", r"no design called 'kne' .*allowed: knee, baseline, flops, accuracy.*mean 'knee'"),
        ("accurracy", "mean 'accuracy'"),
        ("#9", r"no design called '#9' .*a trial as #1\)"),
        ("000", "no design called '000' .*its first 4 or more"),
        (
            "0001",
            re.escape("is the prefix of 2 design ids: 000100000001 (#1), 000100065537 (#65537)"),
        ),
        ("baseline", "the baseline of study 'digits-1' is not measured yet"),
    ],
)
def test_an_unknown_pick_lists_the_allowed_names(name: str, complaint: str) -> None:
    twin = entry(0x10001, flops=2, accuracy=0.1)
    object.__setattr__(twin, "id", "000100065537")
    with pytest.raises(DsxError, match=complaint):
        front(entry(1, flops=1, accuracy=0.1), twin).pick(name)


@pytest.mark.parametrize("name", ["knee", "flops"])
def test_a_study_without_feasible_designs_has_no_front(name: str) -> None:
    found = front(entry(0, flops=1, accuracy=1, feasible=False))
    with pytest.raises(WorkFailed, match="'digits-1' has no front: No design meets the constra"):
        found.pick(name)
    assert found.pick("baseline").trial == 0


def unsure(trial: int, half: float, **metrics: float) -> Entry:
    """Return an entry with the same relative interval width in every metric."""
    ends = {
        name: Estimate(value=number, low=number - half, high=number + half)
        for name, number in metrics.items()
    }
    return dataclasses.replace(entry(trial), metrics=ends)


def test_membership_respects_directions_and_excludes_infeasible_designs() -> None:
    found = front(
        unsure(0, 0.05, flops=100, accuracy=0.9),
        unsure(1, 0.05, flops=50, accuracy=0.87),
        unsure(2, 0.05, flops=60, accuracy=0.82),
        unsure(3, 0.05, flops=60, accuracy=0.70),
        entry(4, flops=1, accuracy=1.0, feasible=False),
    )
    classes = {entry.trial: found.membership[entry.id] for entry in found.entries}
    assert classes == {0: "possible", 1: "certain", 2: "possible", 3: "no", 4: "no"}
    assert trials(found.on_front) == [0, 1]
    assert trials(found.possible) == [2]
    pairs = [(doubted.trial, doubter.trial) for doubted, doubter in found.contested]
    assert pairs == [(0, 1), (2, 1)]


def test_possible_designs_are_ordered_by_the_number_of_dominating_designs() -> None:
    found = front(
        unsure(1, 0.5, flops=10, accuracy=0.5),
        unsure(2, 0.5, flops=20, accuracy=0.6),
        unsure(3, 0.5, flops=30, accuracy=0.4),
        unsure(4, 0.5, flops=15, accuracy=0.45),
        unsure(5, 0.5, flops=16, accuracy=0.45),
    )
    assert trials(found.on_front) == [1, 2]
    assert trials(found.possible) == [4, 5, 3]


def test_a_value_outside_its_interval_raises_an_assertion_error() -> None:
    outside = {"flops": Estimate(value=1.0, low=2.0, high=3.0), "accuracy": value(1.0)}
    with pytest.raises(AssertionError, match="outside its interval"):
        front(dataclasses.replace(entry(1), metrics=outside))


def timed(trial: int, ms: float, accuracy: float, **facts: Any) -> Entry:
    """Return an entry with a latency interval of 2 %."""
    found = entry(trial, latency_ms=ms, accuracy=accuracy)
    latency = Estimate(value=ms, low=0.98 * ms, high=1.02 * ms, **facts)
    return dataclasses.replace(found, metrics={**found.metrics, "latency_ms": latency})


LATENCY: dict[str, Direction] = {"latency_ms": "minimize", "accuracy": "maximize"}


@pytest.mark.parametrize("flag", [{"converged": False}, {"noisy": True}])
@pytest.mark.parametrize("slower", [1.1, 4.0, 100.0])
def test_a_flagged_latency_makes_no_design_certain(flag: dict[str, bool], slower: float) -> None:
    calm = front(timed(0, 1.0, 0.9), timed(1, slower, 0.9), **LATENCY)
    assert list(calm.membership.values()) == ["certain", "no"]
    for flagged in ((0,), (1,), (0, 1)):
        facts = [flag if trial in flagged else {} for trial in (0, 1)]
        found = front(timed(0, 1.0, 0.9, **facts[0]), timed(1, slower, 0.9, **facts[1]), **LATENCY)
        assert "certain" not in found.membership.values()
        # A flagged reading may be wrong by a tenth, but not by a factor of 4.
        assert found.membership[found.entries[1].id] == ("possible" if slower == 1.1 else "no")
        assert found.contested == [(found.entries[0], found.entries[1])]
        assert found.entries[1] in found.contenders


def test_designs_with_the_same_readings_have_one_latency() -> None:
    shared: dict[str, Any] = {"rests_on": frozenset({7}), "noisy": True}
    better, worse = timed(0, 1.0, 0.9, **shared), timed(1, 1.0, 0.8, **shared)
    found = front(better, worse, **LATENCY)
    assert list(found.membership.values()) == ["certain", "no"]
    assert found.contested == [] and found.contenders == ()
    equal = front(better, dataclasses.replace(worse, metrics=better.metrics), **LATENCY)
    assert list(equal.membership.values()) == ["certain", "certain"]


def test_the_reasons_for_an_empty_front_are_distinguished() -> None:
    nothing = dataclasses.replace(front(entry(0, flops=1, accuracy=1)), entries=())
    assert nothing.empty_reason == "No design is completed yet"
    damaged = dataclasses.replace(nothing, conditions={"damaged": "left out row 4"})
    assert damaged.empty_reason == "No design has all of its measurements: left out row 4"
    infeasible = front(entry(0, flops=1, accuracy=1, feasible=False))
    assert infeasible.empty_reason == "No design meets the constraints"


def test_a_difference_is_decided_if_its_interval_excludes_0() -> None:
    first, second = timed(0, 1.0, 0.9), timed(1, 1.025, 0.9)
    close = front(first, second, **LATENCY)
    assert not close.is_decided(first, second, "latency_ms")
    assert close.is_decided(first, second, "accuracy")
    third = dataclasses.replace(timed(2, 1.04, 0.9), feasible=False)
    far = front(first, third, **LATENCY)
    # The intervals overlap slightly, but not that of the difference.
    assert far.is_decided(first, third, "latency_ms")
    # A flagged value may be wrong by half.
    for slower, decided in ((1.5, False), (9.0, True)):
        noisy = timed(3, slower, 0.9, noisy=True)
        assert front(first, noisy, **LATENCY).is_decided(first, noisy, "latency_ms") is decided
