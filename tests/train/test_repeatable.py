"""Random numbers of a training, and the order of its images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.train.repeatable import (
    epoch_order,
    own_random_numbers,
    random_state,
    repeatable_sums,
    set_random_state,
)

CPU = torch.device("cpu")


def test_random_numbers_are_those_of_the_seed_and_others_are_left_alone() -> None:
    before = torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with own_random_numbers(CPU, seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_others_are_left_alone_after_a_failure_too() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="on purpose"), own_random_numbers(CPU, 1):
        torch.rand(4)
        raise ValueError("on purpose")
    assert torch.equal(torch.get_rng_state(), before)


def test_random_numbers_go_on_where_they_were() -> None:
    torch.rand(3)
    state = random_state(CPU)
    expected = torch.rand(5)
    set_random_state(CPU, state)
    assert torch.equal(torch.rand(5), expected)


def test_sums_are_repeatable_inside_only() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    with repeatable_sums():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == before


@given(st.integers(1, 200), st.integers(0, 2**63 - 1), st.integers(0, 500))
def test_an_order_has_each_image_once_and_depends_on_nothing_else(
    images: int, seed: int, epoch: int
) -> None:
    order = epoch_order(images, seed, epoch)
    assert torch.equal(order.sort().values, torch.arange(images))
    torch.rand(3)
    assert torch.equal(epoch_order(images, seed, epoch), order)


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    orders = {
        tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(30) for epoch in range(30)
    }
    assert len(orders) == 900


def test_any_image_can_be_anywhere() -> None:
    first = torch.tensor([int(epoch_order(4, seed, 0)[0]) for seed in range(2000)])
    counts = torch.bincount(first, minlength=4)
    assert counts.min() > 400 and counts.max() < 600
