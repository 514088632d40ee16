"""Hypothesis strategies for slots, specs and images, shared by the tests of dsx.conv."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.shapes import Shape, shape_and_number
from dsx.lookup import find, names
from tests.conv import naive

PLAIN_SHAPES = [name for name in names(Shape) if not find(Shape, name).numbered]
NUMBERED_SHAPES = [
    f"{name}{p}" for name in names(Shape) if find(Shape, name).numbered for p in (2, 3, 5)
]
SHAPES = PLAIN_SHAPES + NUMBERED_SHAPES
"""All kernel shapes."""
CYCLIC_SHAPES = [name for name in SHAPES if len(shape_and_number(name)[0].supports(3)) > 1]
"""The kernel shapes with several supports."""

BINARY = ["binary", "binary cyclic", "binary separable"]
LEARNED = ["learned", "rigid"]
SEPARABLE = ["separable", "binary separable"]
KINDS = [*SHAPES, "separable", *BINARY, *LEARNED]
"""All kinds of convolutions: the kernel shapes, separable convolutions, binary bases with any of
these, and learned shapes, free and rigid."""

STRIDES = [None, "block", 1.0, 0.5, 0.25, 0.9, 0.33, 0.67, "1/3", 0.001]
# With 10 and 12 channels some steps do not divide Cin, so that windows wrap at any channel.
CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12)
ODD_SQUARES = [(1, 1), (3, 3), (5, 5)]
OTHER_KERNELS = [(2, 2), (4, 4), (1, 3), (5, 1), (2, 3)]
KERNELS = {
    "binary cyclic": [(3, 3), (5, 5)],
    "learned": [(3, 3), (3, 3), (5, 5)],
    "rigid": [(3, 3)],
    **dict.fromkeys(("full", "binary", *SEPARABLE), ODD_SQUARES + OTHER_KERNELS),
}
"""Kernel sizes of the kinds of convolutions that support other ones than the odd squares."""
PADDING_MODES = ["zeros", "zeros", "reflect", "replicate", "circular"]


@dataclass(frozen=True)
class Case:
    """An original convolution, a spec for it, and a batch of images."""

    conv: nn.Conv2d
    spec: ConvSpec
    x: Tensor


def divisors(number: int) -> list[int]:
    """Return the divisors of a number."""
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def slots(
    draw: st.DrawFn,
    kernels: list[tuple[int, int]] | None = None,
    channels: tuple[int, ...] = CHANNELS,
) -> nn.Conv2d:
    """Draw a float64 convolution as it could occur in a network."""
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
    """Draw a spec of one kind that a slot supports."""
    if kind in LEARNED:
        return draw(learned_specs(kind == "rigid"))
    choices: list[int | str] = [*divisors(conv.in_channels), "all"]
    groups = draw(st.sampled_from(choices))
    number = conv.in_channels if groups == "all" else int(groups)
    blocks = conv.out_channels % number == 0
    strides = STRIDES if blocks else [r for r in STRIDES if r not in (None, "block")]
    dials: dict[str, Any] = {"kernel_shape": "full" if kind in SEPARABLE else kind}
    if kind in BINARY:
        splits = draw(st.sampled_from(divisors(conv.in_channels // number)))
        odd_square = tuple(conv.kernel_size) in ODD_SQUARES
        shapes = CYCLIC_SHAPES if kind == "binary cyclic" else SHAPES if odd_square else ["full"]
        dials = {
            "kernel_shape": draw(st.sampled_from(shapes)),
            # From one filter to more than can be selected.
            "binary_basis": draw(st.sampled_from([1, 2, 3, 4, conv.out_channels * splits + 1])),
            "splits": splits,
            "scale": draw(st.sampled_from([None, True, False])),
        }
    return ConvSpec(
        groups=groups,
        channel_stride=draw(st.sampled_from(strides)),
        separable=kind in SEPARABLE,
        **dials,
    )


@st.composite
def learned_specs(draw: st.DrawFn, rigid: bool) -> ConvSpec:
    """Draw learned shapes, mostly with small blocks, of which the last ones may be smaller."""
    return ConvSpec(
        kernel_shape="learned",
        rigid=rigid,
        density=draw(st.sampled_from([None, 0.1, 0.5, 1])),
        block_in=draw(st.sampled_from([1, 2, 3, 4, 5, 32])),
        block_out=draw(st.sampled_from([1, 2, 3, 4, 5, 16])),
    )


@st.composite
def images(draw: st.DrawFn, conv: nn.Conv2d, batches: tuple[int, ...] = (0, 1, 3)) -> Tensor:
    """Draw a batch of images that are large enough for a convolution, or slightly larger."""
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
        # The requirements of torch for the padding modes.
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
    """Draw a slot, a spec of one kind, and a batch of images."""
    conv = draw(slots(KERNELS.get(kind, ODD_SQUARES), channels))
    return Case(conv, draw(specs(conv, kind)), draw(images(conv, batches)))


@st.composite
def trained(draw: st.DrawFn, case: Case) -> DsxConv:
    """Build a convolution in a state that can result from training."""
    module = build(case.spec, case.conv)
    part = dial_stage(module)
    with torch.no_grad():
        if isinstance(part, LearnedConv2d):
            _randomise(part.shape_scores)
            part.enable(torch.rand(part.out_channels) < draw(st.sampled_from([0.5, 1])))
            if draw(st.booleans()):
                part.freeze()
        if isinstance(part, BinaryConv2d):
            _randomise(part.select_proxy)
            _randomise(part.basis_proxy)
            part.basis_proxy.mul_(part.positions)
            if part.scale is not None:
                part.scale.normal_()
    return module


def _randomise(decisions: Tensor) -> None:
    """Fill with random numbers, including zeros, ties, and both ends of every surrogate."""
    decisions.copy_(torch.randint(-6, 7, decisions.shape) / 4)


def dial_stage(module: DsxConv) -> WindowedConv2d:
    """Return the convolution that has the dials, which for a separable one is its second stage."""
    part = module.pointwise if isinstance(module, SeparableConv2d) else module
    assert isinstance(part, WindowedConv2d)
    return part


def live(case: Case, module: DsxConv) -> set[naive.Triple]:
    """Compute the live triples by loops, those of learned shapes from their scores."""
    if not isinstance(module, LearnedConv2d):
        return naive.live(case.spec, case.conv)
    scores = module.shape_scores.detach().numpy()
    return naive.learned_live(case.spec, case.conv, scores, module.enabled.tolist())


def plain_conv2d(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, x: Tensor) -> nn.Conv2d:
    """Build a dense nn.Conv2d with the geometry of `conv`, for images like x."""
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
    return plain


def reference(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """Run a dense nn.Conv2d with the geometry of `conv`."""
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns that asymmetric padding of an even kernel requires a copy.
        warnings.filterwarnings("ignore", "Using padding='same'")
        out: Tensor = plain_conv2d(conv, weight, bias, x)(x)
    return out


def dense_gradient(case: Case, module: DsxConv, dy: Tensor) -> Tensor:
    """Compute the weight gradient of a dense nn.Conv2d with the same weight."""
    plain = plain_conv2d(case.conv, module.dense_weight(), None, case.x)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'")
        plain(case.x).backward(dy)
    assert plain.weight.grad is not None
    return plain.weight.grad
