"""Probabilities of being on the front: exact cases, and calibration over simulated studies."""

import time

import numpy as np
import pytest

from dsx.analysis.dominance.pareto import Values, non_dominated
from dsx.analysis.dominance.probability import Readings, front_probabilities


def readings(costs: Values, errors: float | Values, labels: Values | None = None) -> Readings:
    return Readings(
        costs=costs,
        errors=np.broadcast_to(errors, costs.shape),
        labels=np.arange(len(costs)) if labels is None else labels.astype(np.intp),
    )


def test_exact_values_decide() -> None:
    costs = np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [2.0, 2.0], [np.inf, 1.0]])
    found = front_probabilities([readings(column, 0.0) for column in costs.T])
    assert found.tolist() == [1, 1, 0, 1, 1] == non_dominated(costs).tolist()


def test_the_better_of_two_readings_is_probably_better() -> None:
    # The difference has a standard error of sqrt(2) * 0.01.
    accuracy = readings(np.array([-0.95, -0.96]), 0.01)
    found = front_probabilities([accuracy], samples=20_000)
    assert found == pytest.approx([0.24, 0.76], abs=0.01)


def test_designs_with_one_reading_are_equal() -> None:
    latency = readings(np.array([1.0, 1.0, 1.2]), 0.5, np.array([0, 0, 1]))
    bits = readings(np.array([10.0, 20.0, 30.0]), 0.0)
    found = front_probabilities([latency, bits])
    assert (found[0], found[1]) == (1, 0) and 0.3 < found[2] < 0.5


def test_the_best_reading_of_many_equal_designs_is_not_believed() -> None:
    rng = np.random.default_rng(0)
    accuracy = readings(-(0.9 + 0.01 * rng.standard_normal(200)), 0.01)
    # A bootstrap of the readings would give the best one a probability of 0.2 or more.
    assert front_probabilities([accuracy]).max() < 0.06


def study(rng: np.random.Generator, designs: int, spread: float) -> tuple[Values, list[Readings]]:
    """Simulate true costs and readings of accuracy, latency and bits."""
    logarithm = rng.uniform(-3.0, 0.0, designs)
    size = np.exp(logarithm)
    latency = 1 + size + 0.2 * rng.standard_normal(designs)
    accuracy = 0.97 + 0.003 * logarithm + spread * rng.standard_normal(designs)
    errors = np.array([0.007, 0.02])
    true = np.stack([-accuracy, latency, np.round(10_000 * size)], axis=1)
    noisy = true[:, :2] + errors * rng.standard_normal((designs, 2))
    return true, [
        readings(noisy[:, 0], errors[0]), readings(noisy[:, 1], errors[1]), readings(true[:, 2], 0)
    ]  # fmt: skip


@pytest.mark.parametrize("spread", [0.002, 0.006, 0.02])
def test_probabilities_are_calibrated(spread: float) -> None:
    rng = np.random.default_rng(int(1000 * spread))
    shown, true = [], []
    for _ in range(60):
        costs, objectives = study(rng, 40, spread)
        shown.append(front_probabilities(objectives, samples=200))
        true.append(non_dominated(costs))
    likely, right = np.concatenate(shown), np.concatenate(true)
    sure = likely >= 0.9
    assert sure.sum() > 100 and right[sure].mean() >= 0.88
    assert abs(likely.mean() - right.mean()) < 0.06
    if spread > 0.005:
        # Where the designs hardly differ, their differences are overestimated.
        assert right[likely < 0.05].mean() <= 0.05


@pytest.mark.timing
def test_a_study_of_60_designs_takes_less_than_a_second() -> None:
    _, objectives = study(np.random.default_rng(0), 60, 0.006)
    begin = time.thread_time()
    front_probabilities(objectives)
    assert time.thread_time() - begin < 1


def test_no_designs_have_no_probabilities() -> None:
    nothing = Readings(costs=np.zeros(0), errors=np.zeros(0), labels=np.zeros(0, dtype=np.intp))
    assert front_probabilities([nothing]).shape == (0,)
