"""Initial weights preserve the output variance of the replaced convolution."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build
from dsx.conv.fit.init import (
    FRESH_DECISION,
    KEPT_DECISION,
    fresh_decision_,
    kept_decision_,
    mean_square,
    uniform_,
)
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.learned import LearnedConv2d
from tests.conv.strategies import SHAPES, dial_stage

# At least five standard errors: for 40 initialisations with at least 8 live weights per output
# and 100 pixels, the relative error of the variance of an output is
# sqrt((0.8 / 8 + 2 / 100) / 40) = 5.5 %, and that of the mean over outputs about 1.2 %.
MEAN, EACH = 0.06, 0.35
SAMPLES = 40


def output_variance(module: nn.Module, x: Tensor) -> Tensor:
    """Compute the mean square of each output, (Cout,)."""
    with torch.no_grad():
        out: Tensor = module(x)
    return out.square().mean((0, 2, 3))


SPECS = {
    **{shape: ConvSpec(kernel_shape=shape) for shape in SHAPES},
    **{
        f"{shape}, sliding": ConvSpec(kernel_shape=shape, groups=2, channel_stride=0.5)
        for shape in SHAPES
    },
    "separable": ConvSpec(separable=True),
    "separable, sliding": ConvSpec(separable=True, groups=2, channel_stride=0.5),
    "binary": ConvSpec(binary_basis=5, splits=4, scale=True),
    "binary, sliding": ConvSpec(
        kernel_shape="corners", binary_basis=5, groups=2, channel_stride=0.5, scale=True
    ),
    "binary separable": ConvSpec(binary_basis=5, splits=2, scale=True, separable=True),
    "learned": ConvSpec(kernel_shape="learned", block_in=4, block_out=3),
    "rigid": ConvSpec(kernel_shape="learned", rigid=True, block_in=2, block_out=5),
}


@pytest.mark.parametrize("name", SPECS)
def test_output_variance_is_that_of_the_dense_layer(name: str) -> None:
    slot = nn.Conv2d(16, 24, 3, bias=False)
    nn.init.kaiming_normal_(slot.weight)
    total = torch.zeros(24)
    for _ in range(SAMPLES):
        x = torch.randn(4, 16, 7, 7)
        total += output_variance(build(SPECS[name], slot), x)
    # For inputs of variance 1, the variance of the dense layer is mean square * fan-in.
    ratio = total / SAMPLES / (mean_square(slot.weight) * 16 * 9)
    assert abs(float(ratio.mean()) - 1) < MEAN
    assert float((ratio - 1).abs().max()) < EACH


def test_outputs_without_live_weights_are_initialised_as_dense_ones() -> None:
    # They run dense in the warm-up, for which weights of a single live position are too large.
    slot = nn.Conv2d(8, 2000, 3, bias=False)
    spec = ConvSpec(kernel_shape="learned", rigid=True, block_out=1)
    module = build(spec, slot)
    assert isinstance(module, LearnedConv2d)
    dead = (module.dense_weight() == 0).flatten(1).all(1)
    # One of 15 shapes is empty, and each output has its own blocks.
    assert 0.02 < float(dead.float().mean()) < 0.15
    assert mean_square(module.weight[dead]) == pytest.approx(mean_square(slot.weight), rel=0.1)


@pytest.mark.parametrize("name", ["binary", "binary, sliding", "binary separable"])
def test_a_basis_has_no_scale_by_default(name: str) -> None:
    slot = nn.Conv2d(16, 24, 3, bias=False)
    for scale in (None, False):
        part = dial_stage(build(dataclasses.replace(SPECS[name], scale=scale), slot))
        assert isinstance(part, BinaryConv2d) and part.scale is None
        assert set(part.dense_weight().flatten().tolist()) <= {-1.0, 0.0, 1.0}


def test_initial_decisions_are_close_to_the_threshold() -> None:
    proxy = torch.empty(100, 100)
    fresh_decision_(proxy)
    assert float(proxy.abs().max()) <= FRESH_DECISION
    # Uniform: the standard error of the mean of 10,000 values is 0.6 % of the bound.
    assert float(proxy.mean()) == pytest.approx(0, abs=0.05 * FRESH_DECISION)
    assert mean_square(proxy) == pytest.approx(FRESH_DECISION**2 / 3, rel=0.1)


def test_projected_decisions_have_a_fixed_size_and_the_order_of_the_values() -> None:
    values = torch.randn(7, 5, dtype=torch.float64) * 1e-6
    proxy = torch.empty(7, 5)
    kept_decision_(proxy, values)
    assert mean_square(proxy) ** 0.5 == pytest.approx(KEPT_DECISION)
    assert torch.equal(proxy.flatten().argsort(), values.flatten().argsort())
    assert torch.equal(proxy > 0, values > 0)
    kept_decision_(proxy, torch.zeros(7, 5))
    assert not proxy.any()


def test_each_output_is_initialised_by_its_number_of_live_weights() -> None:
    # het3 on 4 channels: outputs have one or two full channels.
    slot = nn.Conv2d(4, 6, 3, bias=False)
    spec = ConvSpec(kernel_shape="het3")
    squares = torch.stack([build(spec, slot).dense_weight().square() for _ in range(400)])
    got = squares.sum((2, 3, 4)).mean(0)
    assert bool(((got / (mean_square(slot.weight) * 36) - 1).abs() < 0.15).all())


@pytest.mark.parametrize("separable", [True, False])
def test_the_replaced_convolution_may_be_grouped(separable: bool) -> None:
    slot = nn.Conv2d(16, 24, 3, groups=4, bias=False)
    spec = ConvSpec(kernel_shape="cross", separable=separable)
    x = torch.randn(4, 16, 7, 7)
    total = (
        sum(float(output_variance(build(spec, slot), x).mean()) for _ in range(SAMPLES)) / SAMPLES
    )
    assert total == pytest.approx(mean_square(slot.weight) * 4 * 9, rel=0.15)


def test_the_bias_has_the_mean_square_of_the_original_bias() -> None:
    slot = nn.Conv2d(4, 4000, 3)
    module = build(ConvSpec(kernel_shape="cross"), slot)
    bias = module.dense_bias()
    assert bias is not None and slot.bias is not None
    assert mean_square(bias) == pytest.approx(mean_square(slot.bias), rel=0.1)
    nn.init.zeros_(slot.bias)
    zero = build(ConvSpec(kernel_shape="cross"), slot).dense_bias()
    assert zero is not None and not zero.any()


def test_uniform_has_the_mean_square_of_each_output() -> None:
    weight = torch.empty(2, 100, 100)
    uniform_(weight, torch.tensor([4.0, 9.0]))
    assert mean_square(weight[0]) == pytest.approx(4, rel=0.05)
    assert mean_square(weight[1]) == pytest.approx(9, rel=0.05)
    assert float(weight[0].abs().max()) <= 12**0.5
    uniform_(weight, 0.0)
    assert not weight.any()


def test_mean_square() -> None:
    assert mean_square(torch.tensor([3.0, 4.0])) == 12.5
    assert mean_square(torch.empty(0)) == 0
