"""Fresh weights give the output variance of the layer replaced."""

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build
from dsx.conv.init import mean_square, uniform_
from tests.conv.strategies import KINDS

# Five standard errors and more: of 40 fresh layers with at least 8 live weights per output and 100
# pixels, an output's variance is known to sqrt((0.8 / 8 + 2 / 100) / 40) = 5.5 %, and the mean over
# the outputs (the depthwise kernels, for separable ones) to about 1.2 %.
MEAN, EACH = 0.06, 0.35
DRAWS = 40


def output_variance(module: nn.Module, x: Tensor) -> Tensor:
    """Give the mean square of each output, (Cout,)."""
    with torch.no_grad():
        out: Tensor = module(x)
    return out.square().mean((0, 2, 3))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_output_variance_is_that_of_the_dense_layer(kind: str, groups: int) -> None:
    slot = nn.Conv2d(16, 24, 3, bias=False)
    nn.init.kaiming_normal_(slot.weight)
    separable = kind == "separable"
    spec = ConvSpec(
        kernel_shape="full" if separable else kind,
        groups=groups,
        channel_stride=0.5,
        separable=separable,
    )
    total = torch.zeros(24)
    for _ in range(DRAWS):
        x = torch.randn(4, 16, 7, 7)
        total += output_variance(build(spec, slot), x)
    # Inputs of variance one: the dense layer's variance is its weights' mean square * fan-in.
    ratio = total / DRAWS / (mean_square(slot.weight) * 16 * 9)
    assert abs(float(ratio.mean()) - 1) < MEAN
    assert float((ratio - 1).abs().max()) < EACH


def test_each_output_goes_by_its_own_live_weights() -> None:
    # het3 on 4 channels: outputs have one or two full channels.
    slot = nn.Conv2d(4, 6, 3, bias=False)
    spec = ConvSpec(kernel_shape="het3")
    squares = torch.stack([build(spec, slot).dense_weight().square() for _ in range(400)])
    got = squares.sum((2, 3, 4)).mean(0)
    assert bool(((got / (mean_square(slot.weight) * 36) - 1).abs() < 0.15).all())


@pytest.mark.parametrize("separable", [True, False])
def test_the_layer_replaced_may_be_grouped(separable: bool) -> None:
    slot = nn.Conv2d(16, 24, 3, groups=4, bias=False)
    spec = ConvSpec(kernel_shape="cross", separable=separable)
    x = torch.randn(4, 16, 7, 7)
    total = sum(float(output_variance(build(spec, slot), x).mean()) for _ in range(DRAWS)) / DRAWS
    assert total == pytest.approx(mean_square(slot.weight) * 4 * 9, rel=0.15)


def test_bias_is_drawn_like_the_bias_replaced() -> None:
    slot = nn.Conv2d(4, 4000, 3)
    module = build(ConvSpec(kernel_shape="cross"), slot)
    bias = module.dense_bias()
    assert bias is not None and slot.bias is not None
    assert mean_square(bias) == pytest.approx(mean_square(slot.bias), rel=0.1)
    nn.init.zeros_(slot.bias)
    fresh = build(ConvSpec(kernel_shape="cross"), slot).dense_bias()
    assert fresh is not None and not fresh.any()


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
