"""Front membership, compared with all true values that the intervals allow."""

import dataclasses
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dsx.analysis.dominance.membership import (
    FLAGGED_ERROR,
    Costs,
    Membership,
    contenders,
    contested_pairs,
    memberships,
)
from dsx.analysis.dominance.pareto import Values, non_dominated

# Few different ends, so that intervals touch and exact values are equal.
END = st.integers(0, 3).map(float)
INTERVAL = st.tuples(END, END).map(sorted)


def intervals(most: int, widest: int) -> st.SearchStrategy[Values]:
    """Return (n, m, 2) ends of intervals."""
    shapes = st.tuples(st.integers(1, most), st.integers(1, widest))

    def fill(shape: tuple[int, int]) -> st.SearchStrategy[Values]:
        n, m = shape
        rows = st.lists(INTERVAL, min_size=n * m, max_size=n * m)
        return rows.map(lambda found: np.array(found, dtype=float).reshape(n, m, 2))

    return shapes.flatmap(fill)


def independent_costs(lows: Values, highs: Values) -> Costs:
    """Return costs that are independent of each other and not flagged."""
    labels = np.arange(lows.size).reshape(lows.shape)
    return Costs(lows=lows, highs=highs, labels=labels, flagged=np.zeros(lows.shape, dtype=bool))


def truths(ends: Values, labels: NDArray[np.intp] | None = None) -> list[Values]:
    """List true values: each cost at an end or in the middle of its interval."""
    n, m, _ = ends.shape
    choices = [sorted({low, (low + high) / 2, high}) for low, high in ends.reshape(-1, 2)]
    found = [np.array(truth).reshape(n, m) for truth in itertools.product(*choices)]
    if labels is None:
        return found
    same = labels[:, None, :] == labels[None, :, :]
    return [t for t in found if (~same | (t[:, None, :] == t[None, :, :])).all()]


def of_all_truths(ends: Values, labels: NDArray[np.intp] | None = None) -> list[Membership]:
    fronts = np.array([non_dominated(truth) for truth in truths(ends, labels)])
    words: list[Membership] = []
    for column in fronts.T:
        inside = Membership.POSSIBLE if column.any() else Membership.NO
        words.append(Membership.CERTAIN if column.all() else inside)
    return words


@given(intervals(3, 2))
def test_membership_is_that_of_all_true_values(ends: Values) -> None:
    assert memberships(independent_costs(ends[..., 0], ends[..., 1])) == of_all_truths(ends)


def in_common(ends: Values, rng: np.random.Generator) -> Costs:
    """Generate designs with common costs."""
    n, m, _ = ends.shape
    labels = rng.integers(0, max(1, n - 1), (n, m))
    for column in range(m):
        for label in set(labels[:, column].tolist()):
            rows = np.flatnonzero(labels[:, column] == label)
            ends[rows, column] = ends[rows[0], column]
    independent = independent_costs(ends[..., 0], ends[..., 1])
    return dataclasses.replace(independent, labels=labels)


@given(intervals(3, 2), st.integers(0, 2**32 - 1))
def test_common_costs_are_equal_for_all_true_values(ends: Values, seed: int) -> None:
    costs = in_common(ends, np.random.default_rng(seed))
    assert memberships(costs) == of_all_truths(ends, costs.labels)


@given(intervals(3, 2), st.integers(0, 2**32 - 1))
def test_a_flagged_cost_makes_no_design_certain(ends: Values, seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = in_common(ends, rng)
    # Common costs are flagged together.
    costs.flagged[:] = (rng.integers(0, 2, (ends.size, 1)) > 0)[costs.labels, 0]
    words = memberships(costs)
    # Flagged costs may have any value, also beyond all others.
    ends[costs.flagged] = (-9.0, 9.0)
    unknown = of_all_truths(ends, costs.labels)
    for word, told in zip(words, unknown, strict=True):
        assert word != "certain" or told == "certain"
        assert word != "no" or told in ("possible", "no")


def test_similar_flagged_latencies_decide_nothing() -> None:
    # Latency and error; the second design is slower, the third is far slower.
    values = np.array([[1.0, 0.1], [1.1, 0.1], [9.0, 0.1]])
    costs = independent_costs(values, values)
    assert memberships(costs) == ["certain", "no", "no"]
    flagged = np.array([[True, False]] * 3)
    costs = dataclasses.replace(costs, flagged=flagged)
    assert 1.0 * (1 + FLAGGED_ERROR) > 1.1 * (1 - FLAGGED_ERROR)
    assert memberships(costs) == ["possible", "possible", "no"]
    # The third design could dominate the others.
    assert contested_pairs(costs) == [(0, 1), (0, 2), (1, 2)]


def test_equal_deployed_networks_are_distinguished_by_other_costs() -> None:
    # The latency is uncertain, but common to both.
    lows, highs = np.array([[1.0, 0.1], [1.0, 0.2]]), np.array([[2.0, 0.1], [2.0, 0.2]])
    apart = independent_costs(lows, highs)
    assert memberships(apart) == ["certain", "possible"]
    equal = dataclasses.replace(apart, labels=np.array([[0, 1], [0, 2]]))
    flagged = np.array([[True, False], [True, False]])
    for costs in (equal, dataclasses.replace(equal, flagged=flagged)):
        assert memberships(costs) == ["certain", "no"]
        assert contested_pairs(costs) == []


@given(intervals(9, 4), st.randoms(use_true_random=False))
def test_no_true_values_contradict_a_membership(ends: Values, random: object) -> None:
    words = np.array(memberships(independent_costs(ends[..., 0], ends[..., 1])))
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    for _ in range(20):
        truth = ends[..., 0] + rng.random(ends.shape[:2]) * (ends[..., 1] - ends[..., 0])
        kept = non_dominated(truth)
        assert kept[words == "certain"].all()
        assert not kept[words == "no"].any()


@given(intervals(6, 3))
def test_without_contested_pairs_no_design_is_possible(ends: Values) -> None:
    lows, highs = ends[..., 0], ends[..., 1]
    words = memberships(independent_costs(lows, highs))
    pairs = contested_pairs(independent_costs(lows, highs))
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    for doubted, doubter in pairs:
        assert words[doubted] == "possible"
        assert words[doubter] != "no"
        nowhere_worse = (lows[doubter] <= highs[doubted]).all()
        assert nowhere_worse and (lows[doubter] < highs[doubted]).any()
    assert set(contenders(independent_costs(lows, highs))) == {
        row
        for pair in pairs
        for row, other in (pair, pair[::-1])
        if (lows[row] <= highs[other]).all()
        and (lows[row] < highs[other]).any()
        and words[other] != "no"
    }
    assert {row for pair in pairs for row in pair} >= {
        row for row, word in enumerate(words) if word == "possible"
    }


def test_exact_costs_make_membership_certain() -> None:
    costs = np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
    # Two equal designs are both on the front.
    assert memberships(independent_costs(costs, costs)) == ["certain", "certain", "no", "certain"]
    assert contested_pairs(independent_costs(costs, costs)) == []


def test_an_interval_that_only_touches_decides() -> None:
    lows, highs = np.array([[1.0, 0.0], [1.0, 5.0]]), np.array([[1.0, 5.0], [1.0, 9.0]])
    # The second design is at best equal to the first, and otherwise worse.
    assert memberships(independent_costs(lows, highs)) == ["certain", "possible"]
    assert contested_pairs(independent_costs(lows, highs)) == [(1, 0)]
    lows[1, 1] = 5.1
    assert memberships(independent_costs(lows, highs)) == ["certain", "no"]


def test_infinite_ends_and_no_designs() -> None:
    lows, highs = np.array([[-np.inf], [0.0], [np.inf]]), np.array([[np.inf], [1.0], [np.inf]])
    assert memberships(independent_costs(lows, highs)) == ["possible", "possible", "no"]
    assert memberships(independent_costs(np.zeros((0, 2)), np.zeros((0, 2)))) == []


def test_many_designs_are_compared_in_blocks() -> None:
    rng = np.random.default_rng(0)
    lows = rng.integers(0, 50, (3000, 3)).astype(float)
    highs = lows + rng.integers(0, 9, lows.shape).astype(float)
    words = memberships(independent_costs(lows, highs))
    for row in range(0, 3000, 50):
        others = np.arange(3000) != row
        best, worst = lows.copy(), highs.copy()
        best[others], worst[others] = highs[others], lows[others]
        expected = "certain" if non_dominated(worst)[row] else "possible"
        assert words[row] == (expected if non_dominated(best)[row] else "no")
