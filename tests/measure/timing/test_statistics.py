"""Estimates from blocks: closed forms, invariances and coverage of the intervals."""

import math
import statistics
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import quantile_test, t

from dsx.measure.timing.statistics import GROUPS, UNSEEN, Values, estimate, median_interval, spread

SAMPLES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)
TIMES = st.floats(1e-3, 1e3)
BLOCKS = st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=80)


def ranks(count: int) -> tuple[int, int]:
    """Return the ranks of the ends, counted from 0, for a number of samples."""
    _, low, high = median_interval(range(count))
    return int(low), int(high)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_interval_contains_the_median_and_is_independent_of_order(
    samples: list[float], random: "np.random.RandomState"
) -> None:
    median, low, high = median_interval(samples)
    assert median == statistics.median(samples)
    assert low <= median <= high
    assert {low, high} <= set(samples)
    random.shuffle(samples)
    assert median_interval(samples) == (median, low, high)


@pytest.mark.parametrize("count", [*range(6, 200), 500, 1000, 1999])
def test_interval_is_the_narrowest_with_95_percent_coverage(count: int) -> None:
    low, high = ranks(count)
    assert low + high == count - 1

    def covered(low: int) -> int:
        """Count the fraction of the 2^n cases with the median between rank `low` and its mirror."""
        return int(2**count) - 2 * sum(comb(count, below) for below in range(low + 1))

    assert 20 * covered(low) >= 19 * 2**count
    # With a narrower interval, the coverage would be less than 95 %.
    assert 20 * covered(low + 1) < 19 * 2**count


@pytest.mark.parametrize("count", [6, 7, 17, 44, 67, 200, 1001])
def test_interval_equals_that_of_scipy(count: int) -> None:
    samples = np.random.default_rng(count).normal(size=count)
    expected = quantile_test(samples, p=0.5).confidence_interval(0.95)
    assert median_interval(samples.tolist())[1:] == (expected.low, expected.high)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_interval_of_few_samples_is_their_range(count: int) -> None:
    assert ranks(count) == (0, count - 1)


def series(blocks: list[tuple[float, float]]) -> tuple[Values, Values]:
    """Split pairs into the blocks of the network and of the reference workload."""
    own, reference_workload = np.array(blocks).T
    return own, reference_workload


@given(TIMES, TIMES, TIMES, st.integers(1, 60))
def test_without_noise_the_value_is_exact(
    own: float, sample_ms: float, reference: float, n: int
) -> None:
    found = estimate(np.full(n, own), np.full(n, sample_ms), reference)
    assert found.value == own * (reference / sample_ms)
    # The variation between readings remains.
    assert found.high - found.value == pytest.approx(UNSEEN * found.value)
    assert found.value - found.low == pytest.approx(UNSEEN * found.value)
    assert found.relative_width == pytest.approx(2 * UNSEEN)


@given(BLOCKS, TIMES, st.data())
def test_value_is_invariant_under_drift(
    blocks: list[tuple[float, float]], reference: float, data: st.DataObject
) -> None:
    own, reference_workload = series(blocks)
    drift = np.array(data.draw(st.lists(TIMES, min_size=len(own), max_size=len(own))))
    steady, drifted = (
        estimate(own, reference_workload, reference),
        estimate(own * drift, reference_workload * drift, reference),
    )
    for name in ("value", "low", "high"):
        assert getattr(drifted, name) == pytest.approx(getattr(steady, name), rel=1e-9)
    np.testing.assert_allclose(drifted.samples, steady.samples, rtol=1e-9)


@given(BLOCKS, TIMES, TIMES)
def test_value_has_the_unit_of_the_blocks(
    blocks: list[tuple[float, float]], reference: float, scale: float
) -> None:
    own, reference_workload = series(blocks)
    found = estimate(own, reference_workload, reference)
    for other in (
        estimate(own * scale, reference_workload, reference),
        estimate(own, reference_workload, reference * scale),
    ):
        for name in ("value", "low", "high"):
            # The ends may almost cancel out.
            expected = scale * getattr(found, name)
            assert getattr(other, name) == pytest.approx(
                expected, rel=1e-9, abs=1e-9 * scale * (found.high - found.low)
            )


@given(BLOCKS, TIMES)
def test_interval_contains_the_value_and_the_rank_interval(
    blocks: list[tuple[float, float]], reference: float
) -> None:
    own, reference_workload = series(blocks)
    found = estimate(own, reference_workload, reference)
    median, low, high = median_interval((own * (reference / reference_workload)).tolist())
    assert found.value == median
    assert found.low <= min(low, median - UNSEEN * median)
    assert found.high >= max(high, median + UNSEEN * median)


def test_the_interval_by_hand() -> None:
    own = np.array([1.0, 4.0, 2.0, 3.0, 10.0])
    found = estimate(own, np.full(5, 2.0), 1.0)
    assert found.value == 1.5
    assert found.samples == [0.5, 2.0, 1.0, 1.5, 5.0]
    assert found.low == pytest.approx(1.5 - math.hypot(1.0, 1.5 * UNSEEN))
    assert found.high == pytest.approx(1.5 + math.hypot(3.5, 1.5 * UNSEEN))


def test_different_groups_widen_the_interval() -> None:
    # Six groups of constant samples, which differ only between the groups.
    levels = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    own = np.repeat(levels, 30)
    half = t.ppf(0.975, GROUPS - 1) * np.std(levels, ddof=1) / math.sqrt(GROUPS)
    found = estimate(own, np.ones(180), 1.0)
    assert found.high - found.value == pytest.approx(math.hypot(half, UNSEEN * 1.25))
    assert found.value == 1.25
    few = estimate(own[::8], np.ones(23), 1.0)
    _, low, _ = median_interval(own[::8].tolist())
    assert few.value - few.low == pytest.approx(math.hypot(few.value - low, UNSEEN * few.value))


def test_correlated_samples_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(50):
        walk = 1 + np.cumsum(rng.normal(size=600)) * 0.005
        shuffled = rng.permutation(walk)
        drifting, white = (estimate(own, np.ones(600), 1.0) for own in (walk, shuffled))
        assert drifting.value == white.value
        ratios.append(drifting.relative_width / white.relative_width)
    assert np.median(ratios) > 1.5


@pytest.mark.parametrize("count", [8, 30, 31, 101, 400])
@pytest.mark.parametrize("skewed", [False, True])
def test_coverage_of_the_true_median(count: int, skewed: bool) -> None:
    rng = np.random.default_rng(count)
    noise = 0.2 * rng.normal(size=(600, count))
    # The median of both is 1.
    draws = np.exp(2 * noise) if skewed else 1 + noise
    held, ranked = [], []
    for own in draws:
        found = estimate(own, np.full(count, 3.0), 3.0)
        held.append(found.low <= 1 <= found.high)
        _, low, high = median_interval(own.tolist())
        ranked.append(low <= 1 <= high)
    # Two standard errors of 600 simulations are 1.8 %; the rank interval suffices.
    assert np.mean(ranked) >= 0.93
    assert np.mean(held) >= np.mean(ranked)


def test_spread_of_evenly_spaced_values() -> None:
    # From 1 to 3: the 10th percentile is 1.2, the 90th 2.8, the median 2.
    assert spread(np.linspace(1, 3, 101).tolist()) == pytest.approx(0.8)
    assert spread([4.0]) == 0


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20), st.floats(0.1, 10))
def test_spread_is_invariant_under_unit_and_order(values: list[float], unit: float) -> None:
    scaled = [unit * value for value in reversed(values)]
    assert spread(scaled) == pytest.approx(spread(values), abs=1e-9)
