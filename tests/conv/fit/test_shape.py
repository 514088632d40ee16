"""The learned shapes with the most energy against brute force over few shapes."""

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dsx.conv.fit.shape import block_means, free_scores, rigid_scores
from tests.conv import naive
from tests.conv.close import assert_equal

DENSITIES = [0.05, 0.1, 0.25, 0.5, 0.9, 1.0]
RIGID = torch.from_numpy(naive.RIGID).double()


@given(
    cin=st.integers(1, 7), cout=st.integers(1, 7), k=st.sampled_from([1, 3]),
    block_in=st.integers(1, 7), block_out=st.integers(1, 7),
)  # fmt: skip
@settings(max_examples=60)
def test_block_means_by_loops(cin: int, cout: int, k: int, block_in: int, block_out: int) -> None:
    block_in, block_out = min(block_in, cin), min(block_out, cout)
    values = torch.randn(cout, cin, k, k, dtype=torch.float64)
    found = block_means(values, block_in, block_out)
    inputs, outputs = range(0, cin, block_in), range(0, cout, block_out)
    assert found.shape == (k, k, len(inputs), len(outputs))
    for i, first_in in enumerate(inputs):
        for o, first_out in enumerate(outputs):
            block = values[first_out : first_out + block_out, first_in : first_in + block_in]
            assert_equal(found[:, :, i, o], block.mean((0, 1)))


@st.composite
def layers(draw: st.DrawFn, most: int = 3) -> tuple[Tensor, Tensor]:
    """Draw mean energies (3, 3, input blocks, output blocks), and the sizes of the blocks."""
    inputs, outputs = draw(st.integers(1, most)), draw(st.integers(1, most))
    energy = torch.randn(3, 3, inputs, outputs, dtype=torch.float64).square()
    if draw(st.booleans()):
        energy = energy.round()  # ties and zeros
    block_in, block_out = torch.full((inputs,), 3.0), torch.full((outputs,), 4.0)
    block_in[-1], block_out[-1] = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return energy, torch.outer(block_in, block_out).double()


@given(drawn=layers(), density=st.sampled_from(DENSITIES))
@settings(max_examples=80)
def test_free_shapes_meet_the_density_with_the_most_energy(
    drawn: tuple[Tensor, Tensor], density: float
) -> None:
    energy, sizes = drawn
    alive = free_scores(energy, sizes, density) > 0
    weights = sizes.expand_as(energy)
    target, kept = density * float(weights.sum()), float(weights[alive].sum())
    # The last position is live if that is closer to the target; the first one always is.
    assert abs(kept - target) <= float(weights.max()) / 2 or int(alive.sum()) == 1
    # Positions differ in size, so the energy per weight decides.
    if not bool(alive.all()):
        assert float(energy[alive].min()) >= float(energy[~alive].max())


@given(drawn=layers(most=1), density=st.sampled_from(DENSITIES))
@settings(max_examples=25)
def test_no_free_shape_with_the_same_number_of_positions_preserves_more(
    drawn: tuple[Tensor, Tensor], density: float
) -> None:
    energy, sizes = drawn
    alive = free_scores(energy, sizes, density) > 0
    flat, count = energy.flatten(), int(alive.sum())
    sums = (flat[list(chosen)].sum() for chosen in itertools.combinations(range(9), count))
    most = float(max(sums))
    assert float(energy[alive].sum()) == pytest.approx(most)
    assert count == max(1, round(9 * density)) or abs(9 * density - count) == 0.5


def selected_shapes(scores: Tensor) -> Tensor:
    """Return the shape of each block, (3, 3, input blocks, output blocks)."""
    return RIGID[scores.argmax(0)].permute(2, 3, 0, 1)


@given(drawn=layers(), density=st.sampled_from(DENSITIES))
@settings(max_examples=80)
def test_rigid_shapes_meet_the_density_up_to_one_block(
    drawn: tuple[Tensor, Tensor], density: float
) -> None:
    energy, sizes = drawn
    # Identical blocks would all have the same shape.
    energy = energy + 1e-3 * torch.rand_like(energy)
    alive = selected_shapes(rigid_scores(energy, sizes, density))
    target, kept = density * 9 * float(sizes.sum()), float((alive * sizes).sum())
    assert abs(kept - target) <= 9 * float(sizes.max())
    assert kept > 0


@given(drawn=layers(most=2), density=st.sampled_from(DENSITIES))
@settings(max_examples=40)
def test_no_rigid_shapes_with_as_many_weights_preserve_more(
    drawn: tuple[Tensor, Tensor], density: float
) -> None:
    energy, sizes = drawn
    own = rigid_scores(energy, sizes, density).argmax(0)
    # Live weights of each block with each shape, and their energy, (blocks, 15).
    weights = sizes.flatten()[:, None] * RIGID.sum((1, 2))
    preserved = torch.einsum("sij,ijb->bs", RIGID, energy.flatten(2)) * sizes.flatten()[:, None]
    # All assignments of other shapes to up to three blocks.
    for few in itertools.combinations(range(len(preserved)), min(3, len(preserved))):
        block = torch.tensor(few)
        ways = torch.cartesian_prod(*len(few) * [torch.arange(15)]).reshape(-1, len(few))
        no_larger = weights[block, ways].sum(1) <= weights[block, own.flatten()[block]].sum()
        most = preserved[block, ways].sum(1)[no_larger].max()
        assert float(preserved[block, own.flatten()[block]].sum()) == pytest.approx(float(most))


@pytest.mark.parametrize("fit", [free_scores, rigid_scores])
@pytest.mark.parametrize("density", DENSITIES)
def test_scores_decide_the_same_in_a_smaller_dtype(
    fit: Callable[[Tensor, Tensor, float], Tensor], density: float
) -> None:
    energy = torch.randn(3, 3, 4, 4, dtype=torch.float64).square()
    scores = fit(energy, torch.ones(4, 4, dtype=torch.float64), density)
    for dtype in (torch.float32, torch.bfloat16):
        rounded = scores.to(dtype)
        if fit is free_scores:
            assert torch.equal(rounded > 0, scores > 0)
        else:
            assert torch.equal(rounded.argmax(0), scores.argmax(0))


def test_positions_of_equal_energy_are_distinguished() -> None:
    sizes = torch.ones(4, 2, dtype=torch.float64)
    for energy in (torch.ones(3, 3, 4, 2), torch.zeros(3, 3, 4, 2)):
        assert int((free_scores(energy.double(), sizes, 0.25) > 0).sum()) == 18
        assert bool((free_scores(energy.double(), sizes, 1.0) > 0).all())


def test_a_single_block_has_a_live_position() -> None:
    # All positions are equal: any shape is optimal, but the empty one would compute nothing.
    energy, sizes = torch.ones(3, 3, 1, 1), torch.ones(1, 1)
    assert int(selected_shapes(rigid_scores(energy.double(), sizes.double(), 0.05)).sum()) == 9
    energy[1, 1] = 1.5
    assert int(selected_shapes(rigid_scores(energy.double(), sizes.double(), 0.05)).sum()) == 1
