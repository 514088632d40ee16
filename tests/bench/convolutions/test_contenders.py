"""The contenders of a case."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dsx.bench.convolutions.contenders import (
    COMPOSITION,
    DENSE,
    GROUPED,
    LAST,
    Reference,
    Weights,
    line_up,
)
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import PRESETS

NAMES = {operator.name: operator for operator in PRESETS}
LAYER = Layer(in_channels=16, out_channels=16, side=8)


def test_a_grouped_convolution_has_the_multiply_adds_of_a_sliding_window() -> None:
    operator = NAMES["scc g4 o.33"]
    found = line_up(operator, operator.layer(LAYER), 2)
    grouped = found.contenders[GROUPED].module
    assert isinstance(grouped, nn.Conv2d)
    assert found.flops == grouped.weight.numel() * 8 * 8 * 2
    assert found.share == 0.25
    assert found.contenders[GROUPED].weights is Weights.OTHER
    assert found.contenders[GROUPED].size == 4 * (2 * 2 * 16 * 8 * 8 + 16 * 4)
    assert found.size == 4 * (2 * 2 * 16 * 8 * 8 + 16 * 4)


def test_other_operators_have_no_grouped_contender() -> None:
    found = line_up(NAMES["ssc corners"], LAYER, 1)
    assert found.contenders.keys() == {DENSE, DENSE + LAST, COMPOSITION}
    assert found.share == pytest.approx(4 / 9)


def test_learned_shapes_have_their_target_density() -> None:
    layer = Layer(in_channels=64, out_channels=64, side=4)
    assert line_up(NAMES["lhc .25"], layer, 1).share == pytest.approx(0.25, abs=0.03)


def test_the_copy_of_a_composition_is_part_of_its_working_set() -> None:
    operator = NAMES["scc g4 o.5"]
    contenders = line_up(operator, operator.layer(LAYER), 3).contenders
    # 8 windows of 4 channels.
    assert contenders[COMPOSITION].size - contenders[DENSE].size == 4 * 32 * 3 * 8 * 8


def test_a_contender_in_another_memory_layout_reads_the_same_values() -> None:
    contenders = line_up(NAMES["ssc cross"], LAYER, 1).contenders
    x = torch.randn(1, 16, 8, 8)
    last = contenders[DENSE + LAST].input(x)
    assert last.is_contiguous(memory_format=torch.channels_last) and torch.equal(last, x)
    assert contenders[DENSE].input(x) is x


@pytest.mark.parametrize(("name", "padding"), [("group g2", 1.0), ("depthwise", 2.0)])
def test_the_padding_is_that_of_the_plan(name: str, padding: float) -> None:
    # The outputs of a group share their columns; those of a depthwise convolution share none, and
    # a list is at least two outputs wide.
    assert line_up(NAMES[name], LAYER, 1).padding == padding


def test_the_reference_is_the_dense_convolution_in_float64() -> None:
    found = line_up(NAMES["slbf Cout/4"], LAYER, 2)
    x = found.x.double()
    expected = F.conv2d(x, found.conv.dense_weight().double(), padding=1)
    torch.testing.assert_close(found.reference(x), expected, rtol=0, atol=1e-12)
    # The convolution itself remains in float32.
    assert found.conv(found.x).dtype == torch.float32
    assert isinstance(found.reference, Reference)


def test_a_block_has_the_dense_block_as_its_contender() -> None:
    layer = Layer(in_channels=16, out_channels=24, stride=2, side=8)
    found = line_up(NAMES["block g2 o.5"], layer, 2)
    with torch.no_grad():
        expected = found.module(found.x)
        assert expected.shape == (2, 24, 4, 4)
        for contender in found.contenders.values():
            output = contender.module(contender.input(found.x))
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
        reference = found.reference(found.x.double())
        torch.testing.assert_close(reference.float(), expected, rtol=0, atol=1e-5)
    assert found.contenders.keys() == {DENSE, DENSE + LAST, COMPOSITION}
    assert found.flops == 2 * 4 * 4 * (16 * 9 + 24 * 8)
