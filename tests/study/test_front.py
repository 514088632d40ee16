"""The front against brute force, the hypervolume against closed forms, picks by their rules."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dsx.errors import DsxError, WorkFailed
from dsx.study.front import Direction, Entry, Front, Value, Values, hypervolume, non_dominated

# Few different values, so that ties and duplicates are the rule.
COSTS = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, 1e9, math.inf, -math.inf])
POINTS = st.tuples(st.integers(0, 9), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=COSTS)
)
SMALL = st.tuples(st.integers(0, 6), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0, 0.5, 1, 2, 9]))
)


def value(number: float) -> Value:
    return Value(value=number, low=number, high=number)


def entry(trial: int, feasible: bool = True, **metrics: float) -> Entry:
    return Entry(
        id=f"{trial:04x}{trial:08d}",
        trial=trial,
        feasible=feasible,
        metrics={name: value(number) for name, number in metrics.items()},
        spec={},
        words="",
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


@given(POINTS)
def test_front_is_that_of_brute_force(points: Values) -> None:
    def dominated(point: Values) -> bool:
        return any((other <= point).all() and (other < point).any() for other in points)

    assert non_dominated(points).tolist() == [not dominated(point) for point in points]


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_front_of_many_points_is_that_of_brute_force(m: int) -> None:
    rng = np.random.default_rng(m)
    points = rng.integers(0, 15, size=(400, m)).astype(float)
    points[rng.random(points.shape) < 0.05] = math.inf
    points[rng.random(points.shape) < 0.02] = -math.inf
    nowhere_worse = (points[:, None] <= points).all(axis=2)
    somewhere_better = (points[:, None] < points).any(axis=2)
    assert (non_dominated(points) == ~(nowhere_worse & somewhere_better).any(axis=0)).all()


def test_nan_never_gets_in() -> None:
    points = np.array([[0.0, math.nan]])
    with pytest.raises(AssertionError, match="NaN"):
        non_dominated(points)
    with pytest.raises(AssertionError, match="NaN"):
        hypervolume(points, np.ones(2))
    with pytest.raises(AssertionError, match="holds a NaN"):
        front(entry(1, flops=math.nan, accuracy=0.5))
    with pytest.raises(AssertionError, match="finite"):
        hypervolume(np.zeros((1, 2)), np.array([1.0, math.inf]))


def _included_excluded(points: Values, reference: Values) -> float:
    """The volume of a union of boxes, by inclusion and exclusion."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            sides = np.maximum(reference - np.max(chosen, axis=0), 0.0)
            total -= (-1) ** size * float(np.prod(sides))
    return total


@given(SMALL)
def test_hypervolume_is_that_of_inclusion_and_exclusion(points: Values) -> None:
    reference = np.full(points.shape[1], 2.0)
    expected = _included_excluded(points, reference)
    assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_hypervolume_of_infinite_points() -> None:
    one = np.array([[0.5, 0.5]])
    worse = np.array([[0.5, 0.5], [0.0, math.inf], [math.inf, math.inf]])
    assert hypervolume(one, np.ones(2)) == hypervolume(worse, np.ones(2)) == 0.25
    assert hypervolume(np.array([[-math.inf, 0.5]]), np.ones(2)) == math.inf
    assert hypervolume(np.array([[-math.inf, 1.0]]), np.ones(2)) == 0.0


def _zdt1(n: int) -> Values:
    x = np.linspace(0, 1, n)
    return np.stack([x, 1 - np.sqrt(x)], axis=1)


def _zdt2(n: int) -> Values:
    x = np.linspace(0, 1, n)
    return np.stack([x, 1 - x**2], axis=1)


def _dtlz2_2d(n: int) -> Values:
    angle = np.linspace(0, math.pi / 2, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _dtlz2_3d(n: int) -> Values:
    side = np.linspace(0, math.pi / 2, math.isqrt(n))
    a, b = (angle.ravel() for angle in np.meshgrid(side, side))
    return np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)


def _dtlz1_3d(n: int) -> Values:
    side = np.linspace(0, 0.5, math.isqrt(n))
    x, y = (c.ravel() for c in np.meshgrid(side, side))
    inside = x + y <= 0.5
    return np.stack([x, y, 0.5 - x - y], axis=1)[inside]


# The sampled front lies on the true one and loses a sliver at every step, so its volume approaches
# the exact one from below: with n points by at most 1/n in 2-d, 2/sqrt(n) times the side in 3-d.
@pytest.mark.parametrize(
    ("points", "reference", "exact", "lost"),
    [
        (_zdt1(20_000), 1.1, 0.876667, 5e-5),
        (_zdt2(20_000), 1.1, 0.543333, 5e-5),
        (_dtlz2_2d(20_000), 1.1, 0.424602, 5e-5),
        (_dtlz2_3d(90_000), 1.1, 0.807401, 5e-3),
        (_dtlz1_3d(90_000), 1.0, 0.979167, 5e-3),
    ],
    ids=["ZDT1", "ZDT2", "DTLZ2 2-d", "DTLZ2 3-d", "DTLZ1 3-d"],
)
def test_hypervolume_of_published_fronts(
    points: Values, reference: float, exact: float, lost: float
) -> None:
    measured = hypervolume(points, np.full(points.shape[1], reference))
    assert exact - lost < measured < exact + 1e-6


def test_front_turns_signs_and_keeps_ties_but_not_the_infeasible() -> None:
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


def test_equal_designs_and_missing_objectives_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="equal designs"):
        front(entry(1, flops=1, accuracy=1), entry(1, flops=2, accuracy=1))
    with pytest.raises(AssertionError, match=r"lacks .*accuracy"):
        front(entry(1, flops=1))


def test_hypervolume_is_read_in_natural_signs() -> None:
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
    # In raw numbers #5 would be nearer: flops dwarf an accuracy.
    assert front(*ends, near, far, entry(5, flops=10, accuracy=0.1)).knee is near


def test_knee_takes_ties_by_id_and_constant_objectives_as_nothing() -> None:
    tied = [entry(3, flops=2, accuracy=0.5), entry(2, flops=1, accuracy=0.25)]
    assert front(*tied).knee is tied[1]
    same = [entry(n, a=1, b=n, c=-n) for n in (1, 2, 3)]
    assert front(*same, a="minimize", b="minimize", c="minimize").knee is same[1]


def test_knee_survives_infinite_values() -> None:
    infinite, middle = entry(1, a=math.inf, b=0), entry(2, a=1, b=0.2)
    rest = [entry(3, a=0, b=2), entry(4, a=2, b=0.1)]
    found = front(infinite, middle, *rest, a="minimize", b="minimize")
    assert trials(found.on_front) == [1, 2, 3, 4]
    assert found.knee is middle
    best = front(entry(1, a=-math.inf, b=3), a="minimize", b="minimize")
    assert best.knee.trial == 1


def test_every_way_to_pick() -> None:
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


def test_best_takes_ties_by_the_distance_to_the_ideal() -> None:
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
        ("0001", re.escape("begins 2 design ids: 000100000001 (#1), 000100065537 (#65537)")),
        ("baseline", "the baseline of study 'digits-1' is not measured yet"),
    ],
)
def test_a_wrong_pick_names_the_right_ones(name: str, complaint: str) -> None:
    twin = entry(0x10001, flops=2, accuracy=0.1)
    object.__setattr__(twin, "id", "000100065537")
    with pytest.raises(DsxError, match=complaint):
        front(entry(1, flops=1, accuracy=0.1), twin).pick(name)


@pytest.mark.parametrize("name", ["knee", "flops"])
def test_nothing_feasible_is_said(name: str) -> None:
    found = front(entry(0, flops=1, accuracy=1, feasible=False))
    with pytest.raises(WorkFailed, match="no design of study 'digits-1' meets the constraints"):
        found.pick(name)
    assert found.pick("baseline").trial == 0
