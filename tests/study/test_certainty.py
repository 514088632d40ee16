"""What intervals leave open, against all truths that they allow."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsx.study.certainty import Certainty, certainties, contested_pairs
from dsx.study.dominance import Values, non_dominated

# Few different ends, so that intervals touch, and exact ones are equal.
END = st.integers(0, 3).map(float)
INTERVAL = st.tuples(END, END).map(sorted)


def intervals(most: int, widest: int) -> st.SearchStrategy[Values]:
    """Give (n, m, 2) ends."""
    shapes = st.tuples(st.integers(1, most), st.integers(1, widest))

    def fill(shape: tuple[int, int]) -> st.SearchStrategy[Values]:
        n, m = shape
        rows = st.lists(INTERVAL, min_size=n * m, max_size=n * m)
        return rows.map(lambda found: np.array(found, dtype=float).reshape(n, m, 2))

    return shapes.flatmap(fill)


def truths(ends: Values) -> list[Values]:
    """List truths: each number at either end or in the middle of its interval."""
    n, m, _ = ends.shape
    choices = [sorted({low, (low + high) / 2, high}) for low, high in ends.reshape(-1, 2)]
    return [np.array(truth).reshape(n, m) for truth in itertools.product(*choices)]


def of_all_truths(ends: Values) -> list[Certainty]:
    fronts = np.array([non_dominated(truth) for truth in truths(ends)])
    words: list[Certainty] = []
    for column in fronts.T:
        words.append("certain" if column.all() else "perhaps" if column.any() else "no")
    return words


@given(intervals(3, 2))
def test_classes_are_those_of_all_truths(ends: Values) -> None:
    assert certainties(ends[..., 0], ends[..., 1]) == of_all_truths(ends)


@given(intervals(9, 4), st.randoms(use_true_random=False))
def test_no_truth_contradicts_a_class(ends: Values, random: object) -> None:
    words = np.array(certainties(ends[..., 0], ends[..., 1]))
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    for _ in range(20):
        truth = ends[..., 0] + rng.random(ends.shape[:2]) * (ends[..., 1] - ends[..., 0])
        kept = non_dominated(truth)
        assert kept[words == "certain"].all()
        assert not kept[words == "no"].any()


@given(intervals(6, 3))
def test_where_nothing_is_contested_nothing_is_perhaps(ends: Values) -> None:
    lows, highs = ends[..., 0], ends[..., 1]
    words = certainties(lows, highs)
    pairs = contested_pairs(lows, highs)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    for doubted, doubter in pairs:
        assert words[doubted] == "perhaps"
        assert words[doubter] != "no"
        nowhere_worse = (lows[doubter] <= highs[doubted]).all()
        assert nowhere_worse and (lows[doubter] < highs[doubted]).any()
    assert {row for pair in pairs for row in pair} >= {
        row for row, word in enumerate(words) if word == "perhaps"
    }


def test_exact_numbers_leave_nothing_open() -> None:
    costs = np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
    # Of two that are equal in everything, both stay.
    assert certainties(costs, costs) == ["certain", "certain", "no", "certain"]
    assert contested_pairs(costs, costs) == []


def test_an_interval_that_only_touches_decides() -> None:
    lows, highs = np.array([[1.0, 0.0], [1.0, 5.0]]), np.array([[1.0, 5.0], [1.0, 9.0]])
    # The second may be as good as the first in all, and is worse otherwise.
    assert certainties(lows, highs) == ["certain", "perhaps"]
    assert contested_pairs(lows, highs) == [(1, 0)]
    lows[1, 1] = 5.1
    assert certainties(lows, highs) == ["certain", "no"]


def test_infinite_ends_and_nothing_at_all() -> None:
    lows, highs = np.array([[-np.inf], [0.0], [np.inf]]), np.array([[np.inf], [1.0], [np.inf]])
    assert certainties(lows, highs) == ["perhaps", "perhaps", "no"]
    assert certainties(np.zeros((0, 2)), np.zeros((0, 2))) == []


def test_many_designs_are_judged_like_few() -> None:
    rng = np.random.default_rng(0)
    lows = rng.integers(0, 50, (3000, 3)).astype(float)
    highs = lows + rng.integers(0, 9, lows.shape).astype(float)
    words = certainties(lows, highs)
    for row in range(0, 3000, 50):
        others = np.arange(3000) != row
        best, worst = lows.copy(), highs.copy()
        best[others], worst[others] = highs[others], lows[others]
        expected = "certain" if non_dominated(worst)[row] else "perhaps"
        assert words[row] == (expected if non_dominated(best)[row] else "no")
