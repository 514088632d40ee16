"""Separable convolutions: their stages, and the projection of a trained weight."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, dense_weight, from_conv2d, preset
from dsx.conv.modules.separable import SeparableConv2d
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.counting import counted
from tests.conv.strategies import Case, cases

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def windowed(case: Case) -> list[Tensor]:
    """Return for each channel the weights of the outputs that read it, (outputs, K * K)."""
    dense = dense_weight(case.conv).flatten(2)
    readers: dict[int, list[int]] = {channel: [] for channel in range(case.conv.in_channels)}
    for output in range(case.conv.out_channels):
        for channel in naive.window(
            case.spec, case.conv.in_channels, case.conv.out_channels, output
        ):
            readers[channel].append(output)
    return [dense[outputs, channel] for channel, outputs in readers.items()]


def alternating_error(matrix: Tensor, rounds: int = 30) -> float:
    """Fit a product of two vectors by alternating least squares; return the squared error."""
    right = torch.randn(matrix.shape[1], dtype=matrix.dtype)
    left = matrix @ right / right.square().sum()
    for _ in range(rounds):
        left = matrix @ right / right.square().sum().clamp_min(1e-300)
        right = matrix.T @ left / left.square().sum().clamp_min(1e-300)
    return float((matrix - left[:, None] * right).square().sum())


@given(data=st.data())
@settings(max_examples=40)
def test_projection_is_the_nearest_separable_weight(data: st.DataObject) -> None:
    case = data.draw(cases("separable"))
    assume(naive.is_separable(case.spec, case.conv))
    module = from_conv2d(case.conv, case.spec)
    assert isinstance(module, SeparableConv2d)
    expected = best = float(dense_weight(case.conv).square().sum())
    for matrix in windowed(case):
        # The minimum over rank-1 matrices: all singular values except the first.
        values = np.linalg.svd(matrix.numpy(), compute_uv=False)
        expected -= float(values[0] ** 2) if len(values) else 0.0
        size = float(matrix.square().sum())
        best -= size - (alternating_error(matrix) if len(matrix) else 0.0)
    error = float((module.dense_weight().detach() - dense_weight(case.conv)).square().sum())
    assert error == pytest.approx(expected, abs=1e-9)
    assert error <= best + 1e-9


@given(data=st.data())
@settings(max_examples=20)
def test_projection_of_a_separable_weight_is_exact(data: st.DataObject) -> None:
    case = data.draw(cases("separable"))
    assume(naive.is_separable(case.spec, case.conv) and case.conv.groups == 1)
    module = build(case.spec, case.conv)
    case.conv.weight.data = module.dense_weight().detach()
    again = from_conv2d(case.conv, case.spec)
    assert isinstance(again, SeparableConv2d)
    assert_equal(again.dense_weight(), case.conv.weight)


@given(data=st.data())
@settings(max_examples=20)
def test_the_bias_is_approximated_by_that_of_the_depthwise_stage(data: st.DataObject) -> None:
    case = data.draw(cases("separable"))
    assume(naive.is_separable(case.spec, case.conv))
    module = from_conv2d(case.conv, case.spec)
    assert isinstance(module, SeparableConv2d)
    bias = module.dense_bias()
    if case.conv.bias is None:
        assert not bias.any()
        return
    mixing = module.pointwise.dense_weight()[:, :, 0, 0].detach().numpy()
    target = case.conv.bias.detach().numpy()
    best = mixing @ np.linalg.lstsq(mixing, target, rcond=None)[0]
    assert np.allclose(bias.detach().numpy(), best, rtol=0, atol=1e-7)


@pytest.mark.parametrize("bias", [True, False])
def test_stages(bias: bool) -> None:
    slot = nn.Conv2d(8, 12, 3, stride=2, padding=1, dilation=2, bias=bias, padding_mode="circular")
    module = build(preset("scc", groups=2, overlap=0.5), slot)
    assert isinstance(module, SeparableConv2d)
    first, second = module.depthwise, module.pointwise
    assert (first.groups, first.stride, first.padding, first.dilation) == (
        8,
        (2, 2),
        (1, 1),
        (2, 2),
    )
    assert first.padding_mode == "circular"
    assert first.bias is not None and second.bias is None
    assert second.weight.shape == (12, 4, 1, 1)
    assert (second.stride, second.padding, second.dilation) == ((1, 1), (0, 0), (1, 1))
    assert set(module.state_dict()) == {"depthwise.weight", "depthwise.bias", "pointwise.weight"}


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_padding_given_as_a_string_is_counted(padding: str | int) -> None:
    module = build(preset("scc"), nn.Conv2d(8, 12, 3, padding=padding))
    x = torch.randn(1, 8, 6, 7)
    out = module(x)
    flops = module.cost((out.shape[2], out.shape[3])).flops
    assert counted(module.counting_form(), x) == flops


def test_the_kernel_shape_of_a_separable_spec_has_no_effect() -> None:
    slot = nn.Conv2d(8, 12, 3)
    forms = {ConvSpec(kernel_shape=s, separable=True).at(slot) for s in ("full", "cross", "het2")}
    assert forms == {ConvSpec(kernel_shape="point", separable=True)}
