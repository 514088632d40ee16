"""Costs in closed form against values calculated by hand."""

import pytest
import torch
from torch import nn

from dsx.conv import KEEP, ConvSpec, Cost, build, original_spec, preset, real_cost, spec_cost
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.sparsity.geometry import Geometry


def test_costs_add_up() -> None:
    one, other = Cost(params=1, flops=20, bits=300), Cost(params=2, flops=30, bits=400)
    assert one + other == Cost(params=3, flops=50, bits=700)
    assert one.numbers == {"params": 1, "flops": 20, "bits": 300}


def test_real_parameters_take_32_bits_and_biases_no_flops() -> None:
    assert real_cost(10, 3, (4, 5)) == Cost(params=13, flops=200, bits=416)


HAND = [
    # 8 -> 12 channels, 3 x 3, no bias, 5 x 4 output
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
def test_costs_calculated_by_hand(spec: ConvSpec, weights: int, biases: int) -> None:
    slot = nn.Conv2d(8, 12, 3, bias=False)
    expected = real_cost(weights, biases, (5, 4))
    assert build(spec, slot).cost((5, 4)) == expected
    form = original_spec(slot) if spec.at(slot) == KEEP else spec.at(slot)
    assert spec_cost(form, Geometry.of(slot), False, (5, 4)) == expected


BINARY_HAND = [
    # 8 -> 12 channels, 3 x 3, no bias, 5 x 4 output: dials, basis entries, bits of the selection,
    # and multiply-adds per pixel of the live kernel, or of maps and merges.
    ({"binary_basis": 4}, 4 * 8 * 9, 12 * 2, 4 * 8 * 9),
    ({"binary_basis": 4, "splits": 2}, 4 * 4 * 9, 12 * 2 * 2, 4 * 4 * 9 * 2 + 12),
    ({"binary_basis": 5, "splits": 4}, 5 * 2 * 9, 12 * 4 * 3, 5 * 2 * 9 * 4 + 12 * 3),
    ({"binary_basis": 64, "splits": 2}, 64 * 4 * 9, 12 * 2 * 6, 8 * 12 * 9),
    # One filter requires no selection.
    ({"binary_basis": 1, "splits": 8}, 9, 0, 9 * 8 + 12 * 7),
    # As many filters as outputs, and no merges: both methods cost the same.
    ({"binary_basis": 12}, 12 * 8 * 9, 12 * 4, 12 * 8 * 9),
    # The two windows have two splits each, which they do not share.
    ({"binary_basis": 2, "splits": 2, "groups": 2}, 2 * 2 * 9, 12 * 2, 2 * 2 * 9 * 4 + 12),
    # Windows of 4 start at every second channel, and so do splits of 2.
    (
        {"binary_basis": 2, "splits": 2, "groups": 2, "channel_stride": 0.5},
        2 * 2 * 9, 12 * 2, 2 * 2 * 9 * 4 + 12,
    ),
    # Splits of 4 start at channels 0, 3, 6, 9 = 1 ..., that is at each of the 8.
    (
        {"binary_basis": 1, "groups": 2, "channel_stride": 0.75},
        4 * 9, 0, 4 * 9 * 8,
    ),
    # P is the union of the four corners, although each filter has only one.
    ({"binary_basis": 2, "kernel_shape": "corners"}, 2 * 8 * 9, 12, 2 * 8 * 9),
    ({"binary_basis": 5, "kernel_shape": "cross"}, 5 * 8 * 5, 12 * 3, 5 * 8 * 5),
    ({"binary_basis": 5, "kernel_shape": "lines"}, 5 * 8 * 9, 12 * 3, 12 * 8 * 3),
]  # fmt: skip


@pytest.mark.parametrize("scale", [None, True])
@pytest.mark.parametrize(("dials", "entries", "selection", "flops"), BINARY_HAND)
def test_binary_costs_calculated_by_hand(
    dials: dict[str, object], entries: int, selection: int, flops: int, scale: bool | None
) -> None:
    slot = nn.Conv2d(8, 12, 3, bias=False)
    spec = ConvSpec.from_json({**dials, "scale": scale})
    reals = 12 if scale else 0
    expected = Cost(params=entries + reals, flops=20 * flops, bits=entries + selection + 32 * reals)
    assert build(spec, slot).cost((5, 4)) == expected
    assert spec_cost(spec.at(slot), Geometry.of(slot), False, (5, 4)) == expected


def test_biases_and_depthwise_weights_of_a_binary_basis_are_real() -> None:
    spec = ConvSpec(binary_basis=4, splits=2)
    with_bias, without = (build(spec, nn.Conv2d(8, 12, 3, bias=b)) for b in (True, False))
    assert with_bias.cost((2, 2)) == without.cost((2, 2)) + real_cost(0, 12, (2, 2))
    separable = build(ConvSpec(binary_basis=4, splits=2, separable=True), nn.Conv2d(8, 12, 3))
    stage = build(spec, nn.Conv2d(8, 12, 1, bias=False))
    assert separable.cost((5, 4)) == real_cost(8 * 9, 8, (5, 4)) + stage.cost((5, 4))


@pytest.mark.parametrize(
    ("density", "rigid", "live"),
    # Of 8 * 12 * 9 = 864 weights.
    [(0.25, False, 216), (None, False, 216), (1, False, 864), (0.1, True, 86), (0.999, True, 863)],
)
def test_the_cost_of_a_learned_spec_is_that_of_its_target_density(
    density: float | None, rigid: bool, live: int
) -> None:
    slot = nn.Conv2d(8, 12, 3)
    spec = ConvSpec(
        kernel_shape="learned", density=density, rigid=rigid, block_in=3, block_out=5
    ).at(slot)
    # 3 x 3 blocks, each with 9 positions or one of 15 shapes.
    shapes = 9 * (4 if rigid else 9)
    expected = Cost(
        params=live + 12, flops=live * 20, bits=32 * (live + 12) + shapes, expected=True
    )
    assert spec_cost(spec, Geometry.of(slot), True, (5, 4)) == expected


def test_the_cost_of_a_learned_module_is_that_of_its_shapes() -> None:
    spec = ConvSpec(kernel_shape="learned", density=0.25, block_in=3, block_out=5)
    module = build(spec, nn.Conv2d(8, 12, 3))
    assert isinstance(module, LearnedConv2d)
    nn.init.constant_(module.shape_scores, -1)
    bits = 32 * 12 + 9 * 9
    assert module.cost((5, 4)) == Cost(params=12, flops=0, bits=bits)
    with torch.no_grad():
        # Two positions of the last block are live, which has only 2 -> 2 channels.
        module.shape_scores[0, 1, 2, 2] = module.shape_scores[2, 2, 2, 2] = 1
    assert module.cost((5, 4)) == Cost(params=20, flops=160, bits=bits + 32 * 8)
    # All weights of an output that is not enabled are live.
    module.enable(torch.arange(12) != 3)
    assert module.cost((5, 4)).params == 20 + 8 * 9


def test_a_sum_with_an_expected_cost_is_expected() -> None:
    exact, expected = (
        Cost(params=1, flops=2, bits=3),
        Cost(params=1, flops=2, bits=3, expected=True),
    )
    assert not (exact + exact).expected
    assert (exact + expected).expected and (expected + exact).expected
    assert exact != expected


def test_the_bias_of_a_separable_slot_moves_to_the_depthwise_stage() -> None:
    spec = ConvSpec(separable=True)
    with_bias, without = (build(spec, nn.Conv2d(8, 12, 3, bias=b)) for b in (True, False))
    assert with_bias.cost((1, 1)) == without.cost((1, 1))
    assert with_bias.cost((1, 1)).params == sum(p.numel() for p in with_bias.parameters())


def test_the_overlap_does_not_change_the_cost() -> None:
    slot = nn.Conv2d(12, 12, 3)
    costs = [build(preset("scc", overlap=r), slot).cost((8, 8)) for r in (0, 0.25, 0.5, 0.9)]
    assert len(set(costs)) == 1
