"""Learning-rate schedules against the schedulers of torch and closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
)

from dsx.train.schedule import SCHEDULES, cosine, linear_decay, one_cycle

STEPS = st.integers(1, 400)


def rates(scheduler: LRScheduler, optimizer: SGD, steps: int) -> list[float]:
    """Return the learning rate of each step of a scheduler of torch."""
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def sgd() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


@pytest.mark.parametrize("warm_up", [0.3, 0.05, 0.0, 0.77])
@pytest.mark.parametrize("steps", [1, 2, 7, 100, 101])
def test_one_cycle_agrees_with_torch(steps: int, warm_up: float) -> None:
    optimizer = sgd()
    scheduler = OneCycleLR(
        optimizer, 1.0, total_steps=steps, pct_start=warm_up, cycle_momentum=False
    )
    expected = rates(scheduler, optimizer, steps)
    found = [one_cycle(step, steps, warm_up) for step in range(steps)]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize(("steps", "warm_up"), [(100, 0.1), (40, 0.05), (50, 0.5), (33, 0.4)])
def test_cosine_agrees_with_torch(steps: int, warm_up: float) -> None:
    rise = int(warm_up * steps)
    optimizer = sgd()
    parts: list[LRScheduler] = [
        LinearLR(optimizer, 1 / (rise + 1), total_iters=rise),
        CosineAnnealingLR(optimizer, steps - rise),
    ]
    expected = rates(SequentialLR(optimizer, parts, [rise]), optimizer, steps)
    found = [cosine(step, steps, warm_up) for step in range(steps)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_cosine_calculated_by_hand() -> None:
    found = [cosine(step, 10, 0.2) for step in range(10)]
    assert found[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found[3:] == pytest.approx([(1 + math.cos(math.pi * k / 8)) / 2 for k in range(1, 8)])


@given(STEPS, st.floats(0, 1), st.sampled_from(sorted(SCHEDULES)))
def test_rates_increase_once_and_decrease_once(steps: int, warm_up: float, name: str) -> None:
    found = [SCHEDULES[name](step, steps, warm_up) for step in range(steps)]
    assert all(0 < rate <= 1 + 1e-12 for rate in found)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    # The one-cycle schedule has its peak one step before the end of the warm-up.
    assert -2 <= top - warm_up * steps <= 1


@given(STEPS, st.floats(0.01, 1))
def test_the_linear_decay_reaches_zero_at_the_end(steps: int, end: float) -> None:
    found = [linear_decay(step, steps, end) for step in range(steps)]
    assert found[0] == 1
    for step, rate in enumerate(found):
        assert rate == pytest.approx(max(0, 1 - step / steps / end), abs=1e-9)
        assert rate > 0 or step / steps >= end - 1e-9


def test_a_final_decision_has_a_learning_rate_of_zero() -> None:
    assert [linear_decay(step, 5, 0.0) for step in range(5)] == [0.0] * 5
