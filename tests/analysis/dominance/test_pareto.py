"""Dominance against brute force, the hypervolume against closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dsx.analysis.dominance.pareto import Values, dominate, hypervolume, non_dominated, to_ideal

# Few different values, so that ties and duplicates are frequent.
COSTS = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, 1e9, math.inf, -math.inf])
POINTS = st.tuples(st.integers(0, 9), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=COSTS)
)
SMALL = st.tuples(st.integers(0, 6), st.integers(1, 4)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0, 0.5, 1, 2, 9]))
)


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


def test_dominance_of_pairs() -> None:
    these = np.array([[0.0, 1.0], [1.0, 1.0]])
    those = np.array([[0.0, 1.0], [0.0, 2.0], [math.inf, 1.0], [-math.inf, 9.0]])
    expected = [[False, False], [True, False], [True, True], [False, False]]
    assert dominate(these, those).tolist() == expected
    assert dominate(these[:0], those).shape == (4, 0)


def test_nan_is_rejected() -> None:
    points = np.array([[0.0, math.nan]])
    with pytest.raises(AssertionError, match="NaN"):
        non_dominated(points)
    with pytest.raises(AssertionError, match="NaN"):
        hypervolume(points, np.ones(2))
    with pytest.raises(AssertionError, match="finite"):
        hypervolume(np.zeros((1, 2)), np.array([1.0, math.inf]))


def test_the_ideal_point_is_the_best_of_all_in_each_objective() -> None:
    costs = np.array([[0.0, 9.0, 5.0], [4.0, 9.0, 1.0], [2.0, 9.0, math.inf]])
    assert to_ideal(costs).tolist() == [1.0, 1.0, math.inf]
    assert to_ideal(np.array([[3.0, 0.0], [0.0, 4.0], [1.5, 2.0]]))[2] == math.sqrt(0.5)


def _included_excluded(points: Values, reference: Values) -> float:
    """Compute the volume of a union of boxes by inclusion and exclusion."""
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


# The points of the sampled front are on the true front, so its volume approaches the exact one from
# below. With n points the error is at most 1/n in 2-d, and 2/sqrt(n) times the side in 3-d.
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
