"""Slots, specs and images to draw from, shared by the tests of dsx.conv."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec
from dsx.conv.shapes import Shape
from dsx.lookup import find, names

PLAIN_SHAPES = [name for name in names(Shape) if not find(Shape, name).numbered]
NUMBERED_SHAPES = [
    f"{name}{p}" for name in names(Shape) if find(Shape, name).numbered for p in (2, 3, 5)
]
SHAPES = PLAIN_SHAPES + NUMBERED_SHAPES
"""Every kernel shape of the folder."""

KINDS = [*SHAPES, "separable"]
"""Every kind of convolution: the kernel shapes, and depthwise then 1 x 1."""

STRIDES = [None, "block", 1.0, 0.5, 0.25, 0.9, 0.33, 0.67, "1/3", 0.001]
# With 10 and 12 channels some steps do not divide Cin: windows wrap at every channel.
CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12)
ODD_SQUARES = [(1, 1), (3, 3), (5, 5)]
OTHER_KERNELS = [(2, 2), (4, 4), (1, 3), (5, 1), (2, 3)]
PADDING_MODES = ["zeros", "zeros", "reflect", "replicate", "circular"]


@dataclass(frozen=True)
class Case:
    """A convolution that stands somewhere, dials for it, and an image it can read."""

    conv: nn.Conv2d
    spec: ConvSpec
    x: Tensor


def divisors(number: int) -> list[int]:
    """List the divisors of a number."""
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def slots(
    draw: st.DrawFn,
    kernels: list[tuple[int, int]] | None = None,
    channels: tuple[int, ...] = CHANNELS,
) -> nn.Conv2d:
    """Draw a float64 convolution as it could stand in a network."""
    cin = draw(st.sampled_from(channels))
    cout = draw(st.integers(1, 9))
    kernel = draw(st.sampled_from(kernels or ODD_SQUARES))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1)]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]))
    half = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2)
    paddings: list[Any] = [half, half, (0, 0), (1, 0), (2, 1), "valid"]
    if stride == (1, 1):
        paddings += ["same", "same"]
    return nn.Conv2d(
        cin,
        cout,
        kernel,
        stride,
        draw(st.sampled_from(paddings)),
        dilation,
        draw(st.sampled_from([d for d in divisors(cin) if cout % d == 0])),
        draw(st.booleans()),
        draw(st.sampled_from(PADDING_MODES)),
        dtype=torch.float64,
    )


@st.composite
def specs(draw: st.DrawFn, conv: nn.Conv2d, kind: str) -> ConvSpec:
    """Draw the other dials for a slot, such that they can be set there."""
    choices: list[int | str] = [*divisors(conv.in_channels), "all"]
    groups = draw(st.sampled_from(choices))
    number = conv.in_channels if groups == "all" else int(groups)
    blocks = conv.out_channels % number == 0
    strides = STRIDES if blocks else [r for r in STRIDES if r not in (None, "block")]
    return ConvSpec(
        kernel_shape="full" if kind == "separable" else kind,
        groups=groups,
        channel_stride=draw(st.sampled_from(strides)),
        separable=kind == "separable",
    )


@st.composite
def images(draw: st.DrawFn, conv: nn.Conv2d, batches: tuple[int, ...] = (0, 1, 3)) -> Tensor:
    """Draw an image that is large enough for a convolution, from the smallest on."""
    sides = []
    for axis in (0, 1):
        reach = conv.dilation[axis] * (conv.kernel_size[axis] - 1)
        if conv.padding == "same":
            pad, least = reach - reach // 2, 1
        elif isinstance(conv.padding, str):
            pad, least = 0, reach + 1
        else:
            pad = int(conv.padding[axis])
            least = max(1, reach + 1 - 2 * pad)
        # What torch asks of the padding modes.
        least = max(least, {"reflect": pad + 1, "circular": pad}.get(conv.padding_mode, 1))
        sides.append(draw(st.integers(least, least + 5)))
    batch = draw(st.sampled_from(batches))
    return torch.randn(batch, conv.in_channels, *sides, dtype=torch.float64)


@st.composite
def cases(
    draw: st.DrawFn,
    kind: str,
    batches: tuple[int, ...] = (0, 1, 3),
    channels: tuple[int, ...] = CHANNELS,
) -> Case:
    """Draw a slot, dials of one kind, and an image."""
    any_kernel = kind in ("full", "separable")
    conv = draw(slots(ODD_SQUARES + OTHER_KERNELS * any_kernel, channels))
    return Case(conv, draw(specs(conv, kind)), draw(images(conv, batches)))


def reference(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """Run torch's own dense convolution with the geometry of `conv`."""
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        bias=bias is not None,
        padding_mode=conv.padding_mode,
        device=x.device,
        dtype=x.dtype,
    )
    plain.weight.data = weight.detach().to(x.dtype)
    if bias is not None and plain.bias is not None:
        plain.bias.data = bias.detach().to(x.dtype)
    with torch.no_grad(), warnings.catch_warnings():
        # torch says that padding an even kernel on one side more costs a copy.
        warnings.filterwarnings("ignore", "Using padding='same'")
        out: Tensor = plain(x)
    return out
