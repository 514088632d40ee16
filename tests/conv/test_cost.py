"""Costs by closed form, against numbers worked by hand."""

import pytest
from torch import nn

from dsx.conv import KEEP, ConvSpec, Cost, build, preset, real_cost, spec_cost, standing_spec
from dsx.conv.geometry import Geometry


def test_costs_add_up() -> None:
    one, other = Cost(params=1, flops=20, bits=300), Cost(params=2, flops=30, bits=400)
    assert one + other == Cost(params=3, flops=50, bits=700)


def test_real_numbers_take_32_bits_and_biases_no_flops() -> None:
    assert real_cost(10, 3, (4, 5)) == Cost(params=13, flops=200, bits=416)


HAND = [
    # 8 -> 12 channels, 3 x 3, no bias, on a 5 x 4 output
    (ConvSpec(), 8 * 12 * 9, 0),
    (ConvSpec(groups=4), 2 * 12 * 9, 0),
    (ConvSpec(groups=2, channel_stride=0.5), 4 * 12 * 9, 0),
    (ConvSpec(kernel_shape="cross"), 8 * 12 * 5, 0),
    (ConvSpec(kernel_shape="checker", groups=2), 4 * 12 * 5, 0),
    (ConvSpec(kernel_shape="corners"), 8 * 12 * 4, 0),
    (ConvSpec(kernel_shape="halves"), 8 * 12 * 6, 0),
    (ConvSpec(kernel_shape="lines"), 8 * 12 * 3, 0),
    (preset("hetconv", p=4), 12 * (2 * 9 + 6), 0),
    (preset("pointwise"), 8 * 12, 0),
    # The depthwise stage always has a bias.
    (preset("scc", groups=2, overlap=0.5), 8 * 9 + 4 * 12, 8),
]


@pytest.mark.parametrize(("spec", "weights", "biases"), HAND)
def test_costs_worked_by_hand(spec: ConvSpec, weights: int, biases: int) -> None:
    slot = nn.Conv2d(8, 12, 3, bias=False)
    expected = real_cost(weights, biases, (5, 4))
    assert build(spec, slot).cost((5, 4)) == expected
    form = standing_spec(slot) if spec.at(slot) == KEEP else spec.at(slot)
    assert spec_cost(form, Geometry.of(slot), False, (5, 4)) == expected


def test_the_bias_of_a_separable_slot_moves_to_the_depthwise_stage() -> None:
    spec = ConvSpec(separable=True)
    with_bias, without = (build(spec, nn.Conv2d(8, 12, 3, bias=b)) for b in (True, False))
    assert with_bias.cost((1, 1)) == without.cost((1, 1))
    assert with_bias.cost((1, 1)).params == sum(p.numel() for p in with_bias.parameters())


def test_overlap_changes_nothing() -> None:
    slot = nn.Conv2d(12, 12, 3)
    costs = [build(preset("scc", overlap=r), slot).cost((8, 8)) for r in (0, 0.25, 0.5, 0.9)]
    assert len(set(costs)) == 1
