"""Convolutions that are trained by the kernels are the same functions as without them."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.native import Kernels
from dsx.conv.native.operators import block_sparse_conv2d
from dsx.conv.native.training import fixed_plans, is_possible

pytestmark = pytest.mark.usefixtures("compiled")

SPECS = {
    "sliding": ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5),
    "grouped": ConvSpec(groups=4),
    "corners": ConvSpec(kernel_shape="corners"),
    "corners sliding": ConvSpec(kernel_shape="corners", groups=2, channel_stride=0.25),
    "het": ConvSpec(kernel_shape="het4"),
    "binary": ConvSpec(kernel_shape="cross", groups=2, binary_basis=3, scale=True),
    "separable": ConvSpec(separable=True, groups=2, channel_stride=0.5),
}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Record the calls of the kernels."""
    calls: list[object] = []

    def call(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return block_sparse_conv2d(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("dsx.conv.modules.windowed.block_sparse_conv2d", call)
        yield calls


def gradients(conv: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of the input and of all parameters."""
    x = x.clone().requires_grad_()
    out = conv(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).double()
    tensors = [x, *conv.parameters()]
    return [out, *torch.autograd.grad((out * weights).sum(), tensors, allow_unused=True)]


def with_torch(conv: DsxConv, x: Tensor) -> list[Tensor]:
    """Return the same without the kernels, which do not compute images in channels_last."""
    return gradients(conv, x.contiguous(memory_format=torch.channels_last))


def built(spec: ConvSpec, stride: int = 1, bias: bool = True) -> DsxConv:
    torch.manual_seed(0)
    return build(spec, nn.Conv2d(16, 24, 3, stride, padding=1, bias=bias)).double()


def test_a_convolution_that_first_runs_in_inference_mode_is_trained() -> None:
    fixed_plans.cache_clear()
    conv, x = built(SPECS["sliding"]), torch.randn(3, 16, 9, 7).double()
    with torch.inference_mode():
        expected = conv(x)
    out, *others = gradients(conv, x)
    torch.testing.assert_close(out, expected)
    assert all(each is not None for each in others)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", SPECS)
def test_output_and_gradients_are_those_of_torch(
    name: str, stride: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv, x = built(SPECS[name], stride, bias), torch.randn(3, 16, 9, 7).double()
    expected = with_torch(conv, x)
    with counted(monkeypatch) as calls:
        found = gradients(conv, x)
    # A larger kernel with a stride has no kernel for the gradient of its input.
    assert len(calls) == (stride == 1 or name == "separable")
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-10)


def test_pointwise_convolutions_with_a_stride_are_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv = build(SPECS["sliding"], nn.Conv2d(16, 24, 1, 2)).double()
    x = torch.randn(3, 16, 9, 7).double()
    with counted(monkeypatch) as calls:
        found = gradients(conv, x)
    assert len(calls) == 1
    for own, other in zip(found, with_torch(conv, x), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (ConvSpec(kernel_shape="lines", groups=1), {"padding_mode": "reflect"}),
        (ConvSpec(groups=16), {}),  # depthwise: no channel is shared
        (ConvSpec(kernel_shape="het2"), {"stride": 2}),
    ],
)
def test_other_convolutions_are_left_to_torch(
    spec: ConvSpec, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = build(spec, nn.Conv2d(16, 16, 3, padding=1, **options))
    with counted(monkeypatch) as calls:
        conv(torch.randn(1, 16, 8, 8))
    assert not calls


def test_number_formats_and_observers_of_torch_are_respected(compiled: Kernels) -> None:
    conv = built(SPECS["corners"]).float()
    assert isinstance(conv, WindowedConv2d)
    weight, x = conv.live_weight(), torch.randn(1, 16, 8, 8)

    def possible(x: Tensor, weight: Tensor = weight) -> bool:
        return is_possible(x, weight, conv.geometry)

    assert possible(x)
    assert not possible(x.bfloat16(), weight.bfloat16())
    assert not possible(x.double())
    assert not possible(x.to("meta"), weight.to("meta"))
    assert not possible(torch.randn(1, 16, 8, 8).contiguous(memory_format=torch.channels_last))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not possible(x)
        assert conv(x).dtype == torch.bfloat16


def learned() -> LearnedConv2d:
    torch.manual_seed(0)
    spec = ConvSpec(kernel_shape="learned", block_in=4, block_out=8, density=0.25)
    conv = build(spec, nn.Conv2d(16, 24, 3, padding=1)).double()
    assert isinstance(conv, LearnedConv2d)
    with torch.no_grad():
        conv.shape_scores.copy_(torch.rand_like(conv.shape_scores) - 0.7)
    return conv


def test_learned_shapes_are_computed_once_they_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = learned(), torch.randn(2, 16, 8, 8).double()
    with counted(monkeypatch) as calls:
        conv(x)
        assert not calls
        conv.freeze()
        expected = with_torch(conv, x)
        for own, other in zip(gradients(conv, x), expected, strict=True):
            if own is not None:
                torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-10)
        assert len(calls) == 1


def replace_data(conv: nn.Module, other: nn.Module) -> None:
    """Load tensors as `nn.utils.vector_to_parameters` does, which torch does not count."""
    for own, new in zip(conv.parameters(), other.parameters(), strict=True):
        own.data = new.data.clone()


@pytest.mark.parametrize(
    "load",
    [
        lambda conv, other: conv.load_state_dict(other.state_dict()),
        lambda conv, other: conv.load_state_dict(other.state_dict(), assign=True),
        lambda conv, other: replace_data(conv, other),
    ],
)
def test_final_shapes_that_are_loaded_are_planned_again(
    load: Callable[[nn.Module, nn.Module], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    conv, x = learned(), torch.randn(2, 16, 8, 8).double()
    other = copy.deepcopy(conv)
    with torch.no_grad():
        other.shape_scores.neg_().sub_(0.3)
    for module in (conv, other):
        module.freeze()
        module(x)
    load(conv, other)
    with counted(monkeypatch) as calls, torch.no_grad():
        torch.testing.assert_close(conv(x), other(x), rtol=0, atol=0)
    assert len(calls) == 2


def test_single_images_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = built(SPECS["corners"]), torch.randn(16, 9, 7).double()
    with counted(monkeypatch) as calls, torch.no_grad():
        torch.testing.assert_close(conv(x), conv(x[None])[0])
    assert len(calls) == 1
