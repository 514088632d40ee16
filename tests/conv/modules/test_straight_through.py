"""Straight-through gradients: exactly the hard value, with the gradient of the soft one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dsx.conv.modules.straight_through import one_hot, signs, straight_through, surrogate

# Ties, both zeros, both ends of the surrogates, and numbers that are lost in a sum with 1.
EDGES = [-2.0, -1.0, -0.5, -1e-300, -0.0, 0.0, 1e-300, 0.5, 1.0, 1.0 + 2**-52, 2.0, 1e300]
NUMBERS = st.lists(st.sampled_from(EDGES), min_size=1, max_size=6)


def leaf(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(out: Tensor, weights: Tensor, of: Tensor) -> Tensor:
    (found,) = torch.autograd.grad((out * weights).sum(), of)
    return found


@given(values=NUMBERS)
def test_the_value_is_hard_and_the_gradient_is_soft(values: list[float]) -> None:
    soft = leaf(values)
    hard = leaf([0.1 * index for index in range(len(values))])
    out = straight_through(hard, soft * 3)
    assert torch.equal(out, hard)
    weights = torch.randn(len(values), dtype=torch.float64)
    (out * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert soft.grad is not None and hard.grad is None
    assert torch.equal(soft.grad, 3 * weights)


@given(values=NUMBERS)
def test_signs(values: list[float]) -> None:
    proxy = leaf(values)
    out = signs(proxy)
    assert out.tolist() == [1.0 if value >= 0 else -1.0 for value in values]
    weights = torch.randn(len(values), dtype=torch.float64)
    passes = torch.tensor([abs(value) <= 1 for value in values])
    assert torch.equal(gradient(out, weights, proxy), weights * passes)


@given(rows=st.lists(st.lists(st.sampled_from(EDGES), min_size=3, max_size=3), min_size=1))
def test_one_hot(rows: list[list[float]]) -> None:
    proxy = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    out = one_hot(proxy)
    for row, got in zip(rows, out.tolist(), strict=True):
        first = min(index for index in range(3) if row[index] == max(row))
        assert got == [float(index == first) for index in range(3)]
    weights = torch.randn(len(rows), 3, dtype=torch.float64)
    assert torch.equal(gradient(out, weights, proxy), weights)


@given(pairs=st.lists(st.tuples(st.sampled_from(EDGES), st.sampled_from(EDGES)), min_size=1))
def test_surrogate(pairs: list[tuple[float, float]]) -> None:
    score, distance = leaf([pair[0] for pair in pairs]), leaf([pair[1] for pair in pairs])
    weights = torch.randn(len(pairs), dtype=torch.float64)
    out = surrogate(score, distance)
    slopes = [1.0 if abs(pair[1]) < 1 else 0.1 for pair in pairs]
    (out * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert score.grad is not None and distance.grad is None
    assert torch.equal(score.grad, weights * torch.tensor(slopes, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decisions_keep_their_dtype(dtype: torch.dtype) -> None:
    proxy = torch.randn(4, 3).to(dtype)
    for decide in (signs, one_hot):
        assert decide(proxy).dtype == dtype
        assert set(decide(proxy).flatten().tolist()) <= {-1.0, 0.0, 1.0}
