"""Sub-convolutions: each live triple is covered once, and no dead one."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import ConvSpec, build
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.subconvolutions import SubConv2d, SumOfSubConvolutions, by_support, rectangles
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import crop
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.counting import counted
from tests.conv.strategies import LEARNED, SHAPES, cases, live, trained


@pytest.mark.parametrize("kind", SHAPES + LEARNED)
@given(data=st.data())
@settings(max_examples=15)
def test_sub_convolutions_contain_each_live_triple_once(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    assert isinstance(module, WindowedConv2d)
    dense = module.dense_weight()
    found: Counter[naive.Triple] = Counter()
    for support, whole in by_support(module.layout, module.live_weight()):
        for part in rectangles(support, whole):
            for i, output in enumerate(part.outputs.tolist()):
                for j, channel in enumerate(part.channels[i].tolist()):
                    box = crop(dense[output, channel], part.box)
                    assert torch.equal(part.weight[i, j], box)
                    for row, column in naive.kernel_positions(box.shape):
                        position = (row + part.box.top, column + part.box.left)
                        found[output, channel, *position] += 1
    assert set(found) == live(case, module)
    assert set(found.values()) <= {1}


@pytest.mark.parametrize("kind", SHAPES + LEARNED)
@given(data=st.data())
@settings(max_examples=8)
def test_a_sum_of_supports_is_the_convolution(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    assert isinstance(module, WindowedConv2d)
    parts = [part for _, part in by_support(module.layout, module.live_weight())]
    modules = [SubConv2d(module.geometry, part) for part in parts]
    whole = SumOfSubConvolutions(modules, module.bias, module.geometry)
    with torch.no_grad():
        assert_equal(whole(case.x), module(case.x))


def test_the_cross_of_design_md_costs_32000() -> None:
    module = build(ConvSpec(kernel_shape="cross"), nn.Conv2d(8, 8, 3, padding=1, bias=False))
    x = torch.randn(1, 8, 10, 10)
    assert module.cost((10, 10)).flops == 32_000
    assert counted(module.counting_form(), x) == 32_000


def test_windows_with_equal_numbers_of_outputs_are_groups() -> None:
    module = build(ConvSpec(groups=2, channel_stride=1.0), nn.Conv2d(4, 6, 3))
    assert isinstance(module, FixedConv2d)
    (part,) = [part for _, part in by_support(module.layout, module.live_weight())]
    conv = SubConv2d(module.geometry, part)
    assert conv.select is None
    assert conv.order.tolist() == [0, 2, 4, 1, 3, 5]
    assert isinstance(conv.conv, nn.Conv2d) and conv.conv.groups == 2


def test_a_full_window_needs_no_selection() -> None:
    module = build(ConvSpec(kernel_shape="corners"), nn.Conv2d(3, 8, 3))
    assert isinstance(module, FixedConv2d)
    for _, part in by_support(module.layout, module.live_weight()):
        assert SubConv2d(module.geometry, part).select is None


def test_the_sum_of_no_sub_convolutions_is_the_bias() -> None:
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    bias = torch.tensor([1.0, 2.0, 3.0])
    for own in (bias, None):
        out = SumOfSubConvolutions([], own, Geometry.of(conv))(torch.randn(2, 2, 6, 5))
        expected = torch.zeros(3) if own is None else own
        assert torch.equal(out, expected[:, None, None].expand(2, 3, 3, 3))
