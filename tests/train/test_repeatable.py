"""The random state of a training, and the order of its images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.train.repeatable import (
    deterministic_cudnn,
    epoch_order,
    random_state,
    seeded_random_state,
    set_random_state,
)

CPU = torch.device("cpu")


def test_random_numbers_depend_on_the_seed_and_the_global_state_is_restored() -> None:
    before = torch.get_rng_state()
    samples = []
    for seed in (1, 1, 2):
        with seeded_random_state(CPU, seed):
            samples.append(torch.rand(4))
    assert torch.equal(samples[0], samples[1]) and not torch.equal(samples[0], samples[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_state_is_restored_after_an_exception() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="on purpose"), seeded_random_state(CPU, 1):
        torch.rand(4)
        raise ValueError("on purpose")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_random_state_can_be_restored() -> None:
    torch.rand(3)
    state = random_state(CPU)
    expected = torch.rand(5)
    set_random_state(CPU, state)
    assert torch.equal(torch.rand(5), expected)


def test_cudnn_is_deterministic_only_within_the_context() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    with deterministic_cudnn():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == before


@given(st.integers(1, 200), st.integers(0, 2**63 - 1), st.integers(0, 500))
def test_an_epoch_order_is_a_reproducible_permutation(images: int, seed: int, epoch: int) -> None:
    order = epoch_order(images, seed, epoch)
    assert torch.equal(order.sort().values, torch.arange(images))
    torch.rand(3)
    assert torch.equal(epoch_order(images, seed, epoch), order)


def test_orders_of_different_epochs_and_seeds_differ() -> None:
    orders = {
        tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(30) for epoch in range(30)
    }
    assert len(orders) == 900


def test_each_image_is_equally_likely_to_be_first() -> None:
    first = torch.tensor([int(epoch_order(4, seed, 0)[0]) for seed in range(2000)])
    counts = torch.bincount(first, minlength=4)
    assert counts.min() > 400 and counts.max() < 600
