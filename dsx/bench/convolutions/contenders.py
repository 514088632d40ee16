"""The contenders of one case: the convolution of dsx, and what it is compared with."""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsx.bench.convolutions.composition import compose, copied_channels
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import Family, Operator
from dsx.conv import DsxConv, build
from dsx.conv.modules import LearnedConv2d

OWN, DENSE, GROUPED, COMPOSITION = "dsx", "dense", "grouped", "composition"
LAST = " channels last"
MOST_BYTES = 4 * 2**30
"""Working set above which a contender is left out."""
BYTES = 4
"""Bytes of an element of float32."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An alternative to a convolution of dsx, with which it is compared.

    Args:
        module: Module that runs it.
        size: Bytes of its inputs, outputs, weights and copies, in a forward pass.
        channels_last: Whether its input has the memory layout channels_last.
        equal: Whether its output equals that of the convolution of dsx.
    """

    module: nn.Module
    size: int
    channels_last: bool = False
    equal: bool = True

    def input(self, x: Tensor) -> Tensor:
        """Return the input in the memory layout of the contender.

        Args:
            x: Batch of images, (B, C, H, W).
        """
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """A convolution of dsx on one layer, and its contenders.

    Args:
        module: The convolution as it is trained, or the block that contains it.
        conv: The convolution itself.
        x: Batch of images, (B, Cin, H, W).
        share: Multiply-adds of the convolution over those of the dense one.
        flops: Multiply-adds of the module for the batch.
        size: Bytes of the input, output and live weights of the module.
        contenders: The contenders by name; the dense one computes the expected output.
    """

    module: nn.Module
    conv: DsxConv
    x: Tensor
    share: float
    flops: int
    size: int
    contenders: dict[str, Contender]


def line_up(operator: Operator, layer: Layer, batch: int) -> Lineup:
    """Build all contenders of a case with initial weights.

    Args:
        operator: Operator of the case, which applies to the layer and changes it.
        layer: Layer of the case.
        batch: Number of images.

    Returns:
        The contenders.
    """
    if operator.family is Family.BLOCK:
        return _line_up_block(operator, layer, batch)
    original = layer.conv()
    conv = _convolution(operator, original)
    x = torch.randn(batch, layer.in_channels, layer.side, layer.side)
    out_hw = conv.geometry.out_hw(layer.side, layer.side)
    cost = conv.cost(out_hw)
    pixels = batch * out_hw[0] * out_hw[1]
    images = x.numel() + layer.out_channels * pixels
    size = BYTES * (images + original.weight.numel())
    dense = conv.geometry.conv2d(conv.dense_weight(), conv.dense_bias())
    contenders = dict(_with_last(DENSE, dense, size))
    if operator.family is Family.SLIDING:
        grouped = dataclasses.replace(layer, groups=conv.groups).conv()
        contenders |= _with_last(GROUPED, grouped, BYTES * (images + grouped.weight.numel()), False)
    composition = compose(conv)
    copied = BYTES * copied_channels(composition) * batch * layer.side**2
    contenders[COMPOSITION] = Contender(module=composition, size=size + copied)
    return Lineup(
        module=conv,
        conv=conv,
        x=x,
        share=cost.flops / (original.weight.numel() * out_hw[0] * out_hw[1]),
        flops=cost.flops * batch,
        size=BYTES * (images + cost.params),
        contenders=contenders,
    )


def _convolution(operator: Operator, original: nn.Conv2d) -> DsxConv:
    spec = operator.canonical(original)
    assert spec is not None and not spec.keeps, operator.name
    conv = build(spec, original)
    if isinstance(conv, LearnedConv2d):
        # Shapes that preserve most of the energy of random weights, at the target density.
        conv.project(torch.randn_like(original.weight), None)
        conv.freeze()
    return conv


def _with_last(
    name: str, module: nn.Module, size: int, equal: bool = True
) -> Iterator[tuple[str, Contender]]:
    """Yield a contender in both memory layouts."""
    yield name, Contender(module=module, size=size, equal=equal)
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield name + LAST, Contender(module=last, size=size, channels_last=True, equal=equal)


def _line_up_block(operator: Operator, layer: Layer, batch: int) -> Lineup:
    """Build a block of a depthwise and a 1 x 1 convolution, with a BN and a ReLU after each."""
    channels, kernel = layer.in_channels, layer.kernel
    first = nn.Conv2d(
        channels, channels, kernel, layer.stride, kernel // 2, groups=channels, bias=False
    )
    norms = _norm(channels), _norm(layer.out_channels)
    conv = _convolution(operator, layer.pointwise.conv())

    def block(second: nn.Module) -> nn.Sequential:
        relus = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        return nn.Sequential(first, norms[0], relus[0], second, norms[1], relus[1]).eval()

    x = torch.randn(batch, channels, layer.side, layer.side)
    pixels = batch * layer.out_side**2
    dense = conv.geometry.conv2d(conv.dense_weight(), None)
    images = x.numel() + layer.out_channels * pixels
    assert isinstance(dense, nn.Conv2d)
    # A user of torch would fold the BNs as well.
    folded = block(fuse_conv_bn_eval(dense.eval(), norms[1].eval()))
    folded[0], folded[1] = fuse_conv_bn_eval(first.eval(), norms[0].eval()), nn.Identity()
    folded[4] = nn.Identity()
    composition = block(compose(conv))
    middle = BYTES * channels * pixels
    copied = BYTES * copied_channels(composition) * pixels
    size = BYTES * (images + channels * layer.out_channels) + middle
    cost = conv.cost((layer.out_side, layer.out_side))
    return Lineup(
        module=block(conv),
        conv=conv,
        x=x,
        share=cost.flops / (channels * layer.out_channels * layer.out_side**2),
        flops=cost.flops * batch + channels * kernel**2 * pixels,
        size=BYTES * (images + cost.params + first.weight.numel()),
        contenders={
            DENSE: Contender(module=folded, size=size),
            COMPOSITION: Contender(module=composition, size=size + copied),
        },
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    """Build a BN with random statistics, which cannot be left out unnoticed."""
    norm = nn.BatchNorm2d(channels)
    assert norm.running_mean is not None and norm.running_var is not None
    nn.init.normal_(norm.running_mean, 0.0, 0.1)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.normal_(norm.bias, 0.0, 0.1)
    return norm
