"""Expected improvements of the hypervolume, compared with samples and with differences."""

import numpy as np
import pytest

from dsx.analysis import hypervolume
from dsx.search.screening.acquisition import Uncertain, added_volumes, expected_improvements
from dsx.search.screening.regression import Normal
from dsx.search.screening.scales import LogErrors, Ranks

RNG = np.random.default_rng(0)


def differences(costs: np.ndarray, front: np.ndarray, reference: np.ndarray) -> list[float]:
    before = hypervolume(front, reference)
    return [hypervolume(np.vstack([front, each]), reference) - before for each in costs]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize("members", [0, 1, 7])
def test_added_volumes_are_differences(dimensions: int, members: int) -> None:
    front = RNG.uniform(0, 1, (members, dimensions))
    costs = RNG.uniform(-0.2, 1.2, (50, dimensions))
    reference = np.ones(dimensions)
    assert added_volumes(costs, front, reference) == pytest.approx(
        differences(costs, front, reference)
    )


def test_without_dimensions_a_point_fills_the_volume() -> None:
    none = np.zeros((0, 0))
    assert added_volumes(np.zeros((2, 0)), none, np.zeros(0)).tolist() == [1, 1]
    assert added_volumes(np.zeros((2, 0)), np.zeros((1, 0)), np.zeros(0)).tolist() == [0, 0]


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_one_uncertain_objective_in_closed_form(dimensions: int) -> None:
    scale = LogErrors(examples=360, offset=1.0)
    front = RNG.uniform(0, 1, (6, dimensions))
    front[:, 0] = -RNG.uniform(0.9, 0.99, 6)
    reference = np.array([-0.85, *[1.1] * (dimensions - 1)])
    costs = RNG.uniform(0, 1, (8, dimensions))
    predicted = Normal(RNG.uniform(-4.5, -2.0, 8), RNG.uniform(0.1, 0.6, 8))
    costs[:, 0] = scale.back(predicted.mean)
    found = expected_improvements(
        costs, {0: Uncertain(scale=scale, predicted=predicted)}, front, reference
    )
    sampled = np.zeros(8)
    for noise in RNG.standard_normal(2000):
        moved = costs.copy()
        moved[:, 0] = scale.back(predicted.mean + noise * predicted.deviation)
        sampled += differences(moved, front, reference)
    assert found == pytest.approx(sampled / 2000, rel=0.1, abs=0.02 * found.max() + 1e-6)


def test_several_uncertain_objectives_are_sampled() -> None:
    accuracy, memory = LogErrors(examples=360, offset=1.0), Ranks(np.linspace(1, 9, 12))
    front = np.array([[-0.97, 4.0, 0.5], [-0.95, 2.0, 0.7], [-0.90, 6.0, 0.2]])
    reference = np.array([-0.85, 10.0, 1.1])
    first = Normal(np.array([-3.5, -2.5]), np.array([0.4, 0.3]))
    second = Normal(np.array([-0.5, 0.8]), np.array([0.3, 0.5]))
    costs = np.stack([accuracy.back(first.mean), memory.back(second.mean), [0.4, 0.1]], axis=1)
    found = expected_improvements(
        costs,
        {
            0: Uncertain(scale=accuracy, predicted=first),
            1: Uncertain(scale=memory, predicted=second),
        },
        front,
        reference,
    )
    sampled = np.zeros(2)
    for one, two in RNG.standard_normal((4000, 2)):
        moved = costs.copy()
        moved[:, 0] = accuracy.back(first.mean + one * first.deviation)
        moved[:, 1] = memory.back(second.mean + two * second.deviation)
        sampled += differences(moved, front, reference)
    assert found == pytest.approx(sampled / 4000, rel=0.05)


def test_exact_objectives_need_no_expectation() -> None:
    front, reference = np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([4.0, 4.0])
    costs = np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 0.0]])
    assert expected_improvements(costs, {}, front, reference).tolist() == [
        *differences(costs, front, reference)
    ]
