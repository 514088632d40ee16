"""Rank correlation and ordered pairs, against brute force and closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dsx.analysis.rank_correlation import (
    _SEED,
    RESAMPLES,
    Numbers,
    Pairs,
    agreement,
    ceiling,
    pairs,
    tau,
)

FEW = st.integers(0, 4)


def numbers(*values: float) -> Numbers:
    return np.array(values, dtype=float)


def test_tau_of_four_items_with_one_pair_swapped() -> None:
    # Six pairs, one of them in opposite order: (5 - 1) / 6.
    assert tau(numbers(1, 2, 3, 4), numbers(10, 30, 20, 40)) == pytest.approx(4 / 6)


@given(st.lists(st.tuples(FEW, FEW), min_size=3, max_size=8))
def test_tau_counts_pairs_without_ties(points: list[tuple[int, int]]) -> None:
    x, y = (numbers(*side) for side in zip(*points, strict=True))
    assume(np.ptp(x) and np.ptp(y))
    ways = [
        (np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in itertools.combinations(points, 2)
    ]
    agreeing = sum(int(one * other) for one, other in ways)
    untied = math.prod(sum(1 for way in ways if way[side]) for side in (0, 1))
    assert tau(x, y) == pytest.approx(agreeing / math.sqrt(untied))


def test_equal_order_has_tau_one_and_reversed_order_minus_one() -> None:
    x = numbers(1, 2, 3, 4, 5)
    alike, backwards = agreement(x, x**2), agreement(x, -x)
    for part in ("tau", "low", "high", "spearman"):
        assert getattr(alike, part) == pytest.approx(1)
        assert getattr(backwards, part) == pytest.approx(-1)


def test_spearman_of_four_items_with_one_pair_swapped() -> None:
    # 1 - 6 * (1 + 1) / (4 * (16 - 1)).
    found = agreement(numbers(1, 2, 3, 4), numbers(10, 30, 20, 40))
    assert found.spearman == pytest.approx(0.8)


def normal_pairs(rng: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
    """Sample two normal distributions with correlation 0.6."""
    x, noise = rng.standard_normal((2, count))
    return x, 0.6 * x + 0.8 * noise


def test_the_interval_has_the_width_of_the_distribution_of_tau() -> None:
    rng = np.random.default_rng(3)
    found = agreement(*normal_pairs(rng, 200))
    scatter = float(np.std([tau(*normal_pairs(rng, 200)) for _ in range(400)]))
    # For normal distributions, tau is 2 / pi * arcsin of the correlation.
    assert found.low < 2 / math.pi * math.asin(0.6) < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * scatter, rel=0.2)


def test_the_same_numbers_give_the_same_interval() -> None:
    x, y = normal_pairs(np.random.default_rng(4), 20)
    assert agreement(x, y) == agreement(x, y)


def test_the_interval_is_that_of_the_resampled_lists() -> None:
    # With ties in both lists, and copies of items in each resample.
    x, y = np.random.default_rng(5).integers(0, 6, size=(2, 12)).astype(float)
    rng = np.random.default_rng(_SEED)
    resamples = [rng.integers(12, size=12) for _ in range(RESAMPLES)]
    taus = [tau(x[i], y[i]) for i in resamples]
    found = agreement(x, y)
    assert [found.low, found.high] == pytest.approx(np.percentile(taus, [2.5, 97.5]).tolist())


def test_constant_resamples_are_ignored() -> None:
    found = agreement(numbers(1, 2, 3), numbers(1, 3, 2))
    assert -1 <= found.low <= found.tau <= found.high <= 1


def test_the_ceiling_of_exact_values_is_one() -> None:
    exact = numbers(1, 2, 2, 5)
    assert ceiling(exact, exact, exact) == pytest.approx(1)


FAR_OFF = 1e9
"""A third thing, whose order is never in doubt: it adds two pairs that are right."""


def test_two_measurements_of_two_items() -> None:
    # If the items differ by 0.6745 standard deviations of their difference, a measurement orders
    # them correctly with probability 3/4. Two measurements agree in 10 of 16 cases, so that the
    # pair contributes 4/16.
    value = numbers(0, 0.6745 * math.sqrt(2), FAR_OFF)
    assert ceiling(value, value - 1.96, value + 1.96) == pytest.approx(2.25 / 3, abs=0.05)


def test_each_side_of_an_uneven_interval_counts() -> None:
    value, far = numbers(0, 1, FAR_OFF), numbers(0, 1e5, 0)
    # Upwards the second item only moves away; downwards it passes the first half of the time.
    assert ceiling(value, value, value + far) == pytest.approx(1)
    assert ceiling(value, value - far, value) == pytest.approx(2 / 3, abs=0.05)


@given(st.lists(st.tuples(FEW, FEW, FEW, FEW), max_size=8))
def test_pairs_are_counted_as_by_hand(things: list[tuple[int, int, int, int]]) -> None:
    cases = [(x, value - down, value + up) for x, value, down, up in things]
    decided = misordered = undecided = 0
    for (x, low, high), (other, other_low, other_high) in itertools.combinations(cases, 2):
        if low <= other_high and other_low <= high:
            continue
        decided += 1
        undecided += x == other
        misordered += (x < other) != (low < other_low) and x != other
    sides = np.array(cases, dtype=float).reshape(-1, 3).T
    assert pairs(*sides) == Pairs(decided=decided, misordered=misordered, undecided=undecided)
