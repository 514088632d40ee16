"""Scales: conversions and expectations, compared with samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.search.screening.regression import Normal
from dsx.search.screening.scales import LogErrors, Ranks

ACCURACY = LogErrors(examples=360, offset=1.0)
ERROR_RATE = LogErrors(examples=100, offset=0.0)
MEMORY = Ranks(np.array([3.0, 1.0, 2.0, 10.0, 2.0]))


@given(st.integers(0, 360))
def test_shares_are_converted_there_and_back(errors: int) -> None:
    costs = np.array([-(1 - errors / 360)])
    assert ACCURACY.back(ACCURACY.of(costs)) == pytest.approx(costs)
    assert np.exp(ACCURACY.of(costs)) == pytest.approx((errors + 0.5) / 361)


@given(st.floats(-50, 50))
def test_ranks_are_converted_there_and_back(cost: float) -> None:
    assert MEMORY.back(MEMORY.of(np.array([cost]))) == pytest.approx([cost], abs=1e-6)


@given(st.floats(-50, 50), st.floats(0.01, 50))
def test_larger_costs_have_larger_scores(cost: float, more: float) -> None:
    low, high = MEMORY.of(np.array([cost, cost + more]))
    assert low < high


def test_one_known_cost_has_a_scale() -> None:
    scale = Ranks(np.array([4.0]))
    assert scale.of(np.array([4.0, 8.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("scale", [ACCURACY, ERROR_RATE, MEMORY])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_the_shortfall_is_an_expectation(scale: LogErrors | Ranks, place: float) -> None:
    predicted = Normal(np.array([-3.0, -0.5]), np.array([0.4, 1.0]))
    samples = predicted.mean + predicted.deviation * np.random.default_rng(0).standard_normal(
        (200_000, 2)
    )
    costs = scale.back(samples)
    limit = float(np.quantile(costs, place))
    expected = np.maximum(limit - costs, 0).mean(axis=0)
    span = np.ptp(np.quantile(costs, [0.1, 0.9]))
    assert scale.shortfall(predicted, limit) == pytest.approx(expected, abs=0.02 * span, rel=0.05)


def test_nothing_is_below_an_impossible_limit() -> None:
    predicted = Normal(np.array([-3.0]), np.array([0.5]))
    assert ACCURACY.shortfall(predicted, -1.5).tolist() == [0.0]


def test_the_variance_is_that_of_a_finite_sample() -> None:
    rng = np.random.default_rng(0)
    errors = rng.binomial(360, 0.05, size=100_000)
    spread = ACCURACY.of(-(1 - errors / 360)).var()
    assert ACCURACY.variances(np.array([-0.95]))[0] == pytest.approx(spread, rel=0.1)
