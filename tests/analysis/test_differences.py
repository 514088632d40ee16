"""Differences of costs: independent errors, shared readings and pairs."""

import math

import numpy as np
import pytest

from dsx.analysis.differences import FLAGGED_ERROR, UNBOUNDED, Objective
from dsx.analysis.estimate import Estimate
from dsx.analysis.examples import ExampleResults
from dsx.analysis.paired import Differences, SeedNoise, compare_designs, compare_weights

ALL = np.arange(3)


def measured(value: float, below: float, above: float, reading: int) -> Estimate:
    return Estimate(
        value=value, low=value - below, high=value + above, rests_on=frozenset({reading})
    )


def compared(objective: Objective, this: int, that: int) -> tuple[float, float, float]:
    found = objective.between(np.array([this]), np.array([that]))
    return float(found.value[0, 0]), float(found.low[0, 0]), float(found.high[0, 0])


def test_half_widths_of_independent_values_are_added_in_quadrature() -> None:
    estimates = [measured(5.0, 3.0, 1.0, 1), measured(3.0, 2.0, 4.0, 2)]
    objective = Objective(estimates=estimates, sign=1)
    expected = (2.0, 2.0 - math.hypot(3, 4), 2.0 + math.hypot(1, 2))
    assert compared(objective, 0, 1) == pytest.approx(expected)
    assert compared(objective, 1, 0) == pytest.approx((-2.0, -expected[2], -expected[1]))
    maximised = Objective(estimates=estimates, sign=-1)
    assert compared(maximised, 0, 1) == pytest.approx((-2.0, -expected[2], -expected[1]))


def test_designs_with_one_reading_have_the_same_cost() -> None:
    objective = Objective(estimates=[measured(5.0, 1, 1, 1), measured(5.0, 1, 1, 1)], sign=1)
    assert compared(objective, 0, 1) == (0, 0, 0)


def test_equal_values_of_different_readings_may_differ() -> None:
    objective = Objective(estimates=[measured(5.0, 1, 1, 1), measured(5.0, 1, 1, 2)], sign=1)
    assert compared(objective, 0, 1) == pytest.approx((0, -math.sqrt(2), math.sqrt(2)))


def test_infinite_values_are_compared() -> None:
    values = [math.inf, math.inf, 1.0]
    estimates = [Estimate(value=value, low=value, high=value) for value in values]
    estimates[2] = measured(1.0, 0.5, 0.5, 1)
    objective = Objective(estimates=estimates, sign=1)
    assert compared(objective, 0, 2) == (math.inf, math.inf, math.inf)
    assert compared(objective, 2, 0) == (-math.inf, -math.inf, -math.inf)
    assert compared(objective, 0, 1) == (0, 0, 0)


def trained(reading: int, *seeds: np.ndarray, examples: str = "these") -> Estimate:
    value = float(np.mean(seeds))
    return Estimate(
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        examples=tuple(ExampleResults.of(each, examples) for each in seeds),
        rests_on=frozenset({reading}),
    )


def results(number: int, count: int = 200) -> np.ndarray:
    return (np.random.default_rng(number).random(count) < 0.9).astype(float)


def same(found: Differences, expected: Differences, sign: float) -> bool:
    ends = (expected.low, expected.high) if sign > 0 else (-expected.high, -expected.low)
    return (
        np.allclose(found.value, sign * expected.value)
        and np.allclose(found.low, ends[0])
        and np.allclose(found.high, ends[1])
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_networks_of_one_training_are_compared_by_their_weights(sign: float) -> None:
    values = [results(number) for number in range(3)]
    objective = Objective(estimates=[trained(i, each) for i, each in enumerate(values)], sign=sign)
    found = objective.between(ALL[:1], ALL[1:])
    assert same(found, compare_weights(np.stack(values[:1]), np.stack(values[1:])), sign)
    # The independent intervals are much wider.
    assert (found.high - found.low).max() < 0.15


def test_designs_are_compared_once_the_noise_of_seeds_is_known() -> None:
    values = [
        np.stack([results(10 * i + seed) for seed in range(k)]) for i, k in enumerate((2, 1, 3))
    ]
    estimates = [trained(i, *each) for i, each in enumerate(values)]
    objective = Objective(estimates=estimates, sign=-1)
    noise = SeedNoise.of(values)
    assert noise is not None and objective.noise == noise
    found = objective.between(ALL[:2], ALL[1:])
    expected = compare_designs(values[:2], values[1:], noise)
    # A design does not differ from itself.
    for each in (expected.value, expected.low, expected.high):
        each[1, 0] = 0
    assert same(found, expected, -1)


def test_only_results_of_the_same_examples_are_paired() -> None:
    estimates = [
        trained(0, results(0)),
        trained(1, results(1)),
        trained(2, results(2), examples="others"),
        measured(0.9, 0.1, 0.1, 3),
        trained(4, results(0, 100)),
    ]
    objective = Objective(estimates=estimates, sign=-1)
    assert objective.paired.tolist() == [True, True, False, False, False]
    for other in (2, 3, 4):
        value, low, high = compared(objective, 0, other)
        assert high - value == pytest.approx(0.1 * math.sqrt(2))
        assert value - low == pytest.approx(0.1 * math.sqrt(2))
    _, low, high = compared(objective, 0, 1)
    assert high - low < 0.15


def test_readings_of_flagged_and_unbounded_values_have_large_errors() -> None:
    flagged = Estimate(value=8.0, low=7.9, high=8.1, noisy=True)
    endless = Estimate(value=2.0, low=-math.inf, high=math.inf)
    infinite = Estimate(value=math.inf, low=1.0, high=math.inf)
    estimates = [measured(4.0, 0.2, 0.1, 1), flagged, endless, infinite]
    found = Objective(estimates=estimates, sign=-1).readings
    assert found.costs.tolist() == [-4.0, -8.0, -2.0, -math.inf]
    deviations = 1.96 * found.errors
    expected = [0.2, FLAGGED_ERROR * 8, 1.96 * UNBOUNDED * 8, 0]
    assert deviations == pytest.approx(expected, rel=1e-4)
    assert len(set(found.labels.tolist())) == 4


def test_flagged_values_bound_nothing_except_their_own_reading() -> None:
    flagged = Estimate(value=8.0, low=7.9, high=8.1, noisy=True, rests_on=frozenset({2}))
    objective = Objective(estimates=[measured(4.0, 0, 0, 1), flagged, flagged], sign=1)
    low, high = objective.bounds(ALL, ALL)
    assert low.tolist() == [[0, -math.inf, -math.inf], [-math.inf, 0, 0], [-math.inf, 0, 0]]
    assert high.tolist() == (-low).tolist()
    low, high = objective.unflagged_bounds(ALL, ALL)
    assert (low[1, 0], high[1, 0]) == pytest.approx((3.9, 4.1))
