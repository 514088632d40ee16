"""The fitted binary basis against brute force over all bases of small problems."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dsx.conv.fit.basis import Fit, nearest_basis

# Squared distances are sums of at most a thousand squares of size 1 to 10.
ROUNDING = 1e-9
SCALED = pytest.mark.parametrize("scaled", [False, True])


def signs(centres: Tensor) -> Tensor:
    return torch.where(centres >= 0, 1.0, -1.0).to(centres.dtype)


def squared_error(weight: Tensor, live: Tensor, filters: Tensor, scale: Tensor) -> float:
    """Compute || W - scale * filters . S ||^2."""
    return float((weight - scale[:, None, None] * filters * live).square().sum())


def error_of(fit: Fit, weight: Tensor, live: Tensor) -> float:
    """Compute the error of a fit from its decisions."""
    filters = signs(fit.centres)[fit.similarity.argmax(-1)]
    return squared_error(weight, live, filters, fit.scale)


def best_with(basis: Tensor, weight: Tensor, live: Tensor, scaled: bool) -> float:
    """Compute the smallest error for a basis by trying all selections of each output."""
    outputs, splits, _ = weight.shape
    total = 0.0
    for output in range(outputs):
        errors = []
        for chosen in itertools.product(range(len(basis)), repeat=splits):
            filters = basis[list(chosen)] * live[output]
            best = (weight[output] * filters).sum() / live[output].sum() if scaled else 1.0
            errors.append(float((weight[output] - best * filters).square().sum()))
        total += min(errors)
    return total


def all_bases(k: int, size: int) -> list[Tensor]:
    """Return all bases of k filters, up to their order."""
    filters = [torch.tensor(f).double() for f in itertools.product((-1.0, 1.0), repeat=size)]
    return [torch.stack(basis) for basis in itertools.combinations_with_replacement(filters, k)]


@st.composite
def weights(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw channel splits of filters with masks of live entries, at least one per output."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    live = torch.rand(shape) < draw(st.sampled_from([0.6, 1.0]))
    live[:, 0, 0] = True
    weight = torch.randn(shape, dtype=torch.float64)
    if draw(st.booleans()):
        weight = weight.round()  # ties and zeros
    return weight * live, live


@SCALED
@given(drawn=weights(), k=st.integers(1, 2))
@settings(max_examples=25)
def test_a_fit_is_a_fixed_point(drawn: tuple[Tensor, Tensor], k: int, scaled: bool) -> None:
    weight, live = drawn
    fit = nearest_basis(weight, live, k, scaled)
    error = error_of(fit, weight, live)
    assert fit.error == pytest.approx(error, abs=ROUNDING)
    # With this basis no selection and no scale is better.
    assert error == pytest.approx(best_with(signs(fit.centres), weight, live, scaled), abs=ROUNDING)
    # With this selection and this scale no basis is better.
    chosen = fit.similarity.argmax(-1)
    for basis in itertools.product(*k * [all_bases(1, weight.shape[2])]):
        other = squared_error(weight, live, torch.cat(basis)[chosen], fit.scale)
        assert other >= error - ROUNDING


@SCALED
def test_many_fits_of_small_problems_are_optimal(scaled: bool) -> None:
    best = 0
    for _ in range(40):
        weight = torch.randn(4, 2, 3, dtype=torch.float64)
        live = torch.ones_like(weight).bool()
        fit = nearest_basis(weight, live, 2, scaled)
        least = min(best_with(basis, weight, live, scaled) for basis in all_bases(2, 3))
        assert fit.error > least - ROUNDING
        best += fit.error < least + ROUNDING
    # Observed: 67 % without and 50 % with a scale. A local search guarantees none.
    assert best >= 8


@SCALED
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_a_fit_is_better_than_random_bases(scaled: bool, density: float) -> None:
    weight = torch.randn(16, 2, 18, dtype=torch.float64)
    live = torch.rand(weight.shape) < density
    weight = weight * live
    fit = nearest_basis(weight, live, 4, scaled)
    for _ in range(20):
        basis = signs(torch.randn(4, 18, dtype=torch.float64))
        assert fit.error < best_with(basis, weight, live, scaled)


@SCALED
def test_the_error_never_increases(scaled: bool) -> None:
    weight = torch.randn(40, 2, 20, dtype=torch.float64)
    live = torch.rand(weight.shape) < 0.8
    weight = weight * live
    errors = []
    for rounds in range(1, 12):
        errors.append(nearest_basis(weight, live, 6, scaled, max_rounds=rounds).error)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


@given(
    used=st.integers(1, 6), spare=st.integers(0, 2), splits=st.integers(1, 3),
    size=st.sampled_from([1, 2, 4, 9]),
)  # fmt: skip
@settings(max_examples=60)
def test_an_exact_basis_is_recovered(used: int, spare: int, splits: int, size: int) -> None:
    # With few entries, many filters are negatives of others.
    basis = signs(torch.randn(used, size, dtype=torch.float64))
    weight = basis[torch.randint(used, (10, splits))]
    fit = nearest_basis(weight, torch.ones_like(weight).bool(), used + spare, scaled=False)
    assert torch.equal(signs(fit.centres)[fit.similarity.argmax(-1)], weight)
    assert torch.equal(fit.scale, torch.ones(10, dtype=torch.float64))
    assert fit.error == 0


@given(used=st.integers(1, 6), spare=st.integers(0, 2), size=st.sampled_from([1, 2, 4, 9]))
@settings(max_examples=60)
def test_an_exact_basis_with_scales_of_any_sign_is_recovered(
    used: int, spare: int, size: int
) -> None:
    basis = signs(torch.randn(used, size, dtype=torch.float64))
    weight = basis[torch.randint(used, (10, 1))] * torch.randn(10, 1, 1, dtype=torch.float64)
    live = torch.ones_like(weight).bool()
    fit = nearest_basis(weight, live, used + spare, scaled=True)
    assert fit.error == pytest.approx(0, abs=ROUNDING)
    assert error_of(fit, weight, live) == pytest.approx(0, abs=ROUNDING)


def test_a_scale_may_be_negative() -> None:
    one = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    weight = torch.stack([2 * one, -3 * one])[:, None]
    live = torch.ones_like(weight).bool()
    fit = nearest_basis(weight, live, 1, scaled=True)
    assert fit.scale[0] * fit.scale[1] == -6
    # Without a scale, the single filter cannot match both outputs.
    assert nearest_basis(weight, live, 1, scaled=False).error > 1


@SCALED
def test_with_one_filter_per_split_all_signs_are_correct(scaled: bool) -> None:
    weight = torch.randn(6, 2, 8, dtype=torch.float64)
    fit = nearest_basis(weight, torch.ones_like(weight).bool(), 12, scaled)
    size = weight.abs().mean((1, 2), keepdim=True) if scaled else torch.ones(6, 1, 1)
    assert fit.error == pytest.approx(float((weight.abs() - size).square().sum()))


@SCALED
def test_splits_of_zeros_do_not_use_up_filters(scaled: bool) -> None:
    filters = signs(torch.randn(3, 9, dtype=torch.float64))
    weight = torch.cat([torch.zeros(8, 1, 9).double(), filters[:, None], filters[:, None]])
    fit = nearest_basis(weight, torch.ones_like(weight).bool(), 3, scaled)
    assert torch.equal(signs(fit.centres)[fit.similarity.argmax(-1)][8:].abs(), weight[8:].abs())
    assert fit.error == pytest.approx(0 if scaled else 8 * 9)


@SCALED
def test_a_weight_of_zeros_has_a_fit(scaled: bool) -> None:
    weight = torch.zeros(3, 2, 4, dtype=torch.float64)
    live = torch.ones_like(weight).bool()
    fit = nearest_basis(weight, live, 5, scaled)
    assert fit.error == (0 if scaled else weight.numel())
    for tensor in (fit.centres, fit.similarity, fit.scale):
        assert bool(tensor.isfinite().all())
    assert fit.centres.shape == (5, 4)
    assert fit.similarity.shape == (3, 2, 5)
    assert not scaled or not fit.scale.any()
