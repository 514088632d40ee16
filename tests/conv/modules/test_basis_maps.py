"""Basis maps and merges: the same function, with the cost of the closed form."""

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build
from dsx.conv.modules.basis import basis_count
from dsx.conv.modules.basis_maps import BasisMaps
from dsx.conv.modules.binary import BinaryConv2d
from tests.conv.close import assert_equal
from tests.conv.counting import counted

CASES = [
    (ConvSpec(binary_basis=3, splits=2, scale=True), 20),
    # Each output has one of four supports; with three outputs, one support is not in use.
    (ConvSpec(kernel_shape="corners", binary_basis=1), 20),
    (ConvSpec(kernel_shape="corners", binary_basis=1), 3),
    (ConvSpec(kernel_shape="checker", binary_basis=2, splits=4, scale=True), 20),
    # At a position only some columns of a split are live.
    (ConvSpec(kernel_shape="het2", binary_basis=1, splits=2), 20),
    (ConvSpec(kernel_shape="het2", binary_basis=1, splits=2), 3),
    (ConvSpec(kernel_shape="het3", binary_basis=1, groups=2, splits=2), 20),
    # Sliding windows, with splits that overlap and wrap around.
    (ConvSpec(kernel_shape="cross", binary_basis=1, groups=2, channel_stride=0.5, splits=2), 20),
    (ConvSpec(kernel_shape="saltire", binary_basis=1, groups=2, channel_stride=1.0), 20),
]


def convolution(spec: ConvSpec, outputs: int, bias: bool) -> BinaryConv2d:
    """Build a convolution for which maps are the cheaper method."""
    slot = nn.Conv2d(8, outputs, 3, 2, padding=(1, 0), bias=bias, dtype=torch.float64)
    module = build(spec, slot)
    assert isinstance(module, BinaryConv2d)
    assert basis_count(module.spec, module.geometry).by_maps
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("spec", "outputs"), CASES)
def test_maps_are_the_same_function_with_the_same_cost(
    spec: ConvSpec, outputs: int, bias: bool
) -> None:
    module = convolution(spec, outputs, bias)
    maps = module.counting_form()
    assert isinstance(maps, BasisMaps)
    for batch in (0, 1, 3):
        x = torch.randn(batch, 8, 7, 9, dtype=torch.float64)
        assert_equal(maps(x), module(x))
    x, merges = torch.randn(1, 8, 7, 9, dtype=torch.float64), outputs * (spec.splits - 1)
    assert maps.merges == merges
    assert counted(maps, x) + 4 * 4 * merges == module.cost((4, 4)).flops


def test_maps_are_copied_and_have_no_gradient() -> None:
    module = convolution(*CASES[0], bias=True)
    maps, x = module.counting_form(), torch.randn(1, 8, 7, 9, dtype=torch.float64)
    expected: Tensor = maps(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.neg_()
    assert torch.equal(maps(x), expected)
    for value in maps.buffers():
        assert not value.requires_grad
