"""The contenders of one case: the convolution of dsx, and what it is compared with."""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsx.bench.convolutions.composition import compose, copied_channels
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import Family, Operator
from dsx.conv import DsxConv, build
from dsx.conv.deploy.block_sparse import plan_of
from dsx.conv.modules import LearnedConv2d

OWN, DENSE, GROUPED, COMPOSITION = "dsx", "dense", "grouped", "composition"
LAST = " channels last"
MOST_BYTES = 4 * 2**30
"""Working set of a contender above which its case is left out."""
BYTES = 4
"""Bytes of an element of float32."""


class Weights(StrEnum):
    """The weights of a contender, which determine its expected output and gradients."""

    OPERATOR = auto()
    """The parameters of the convolution of dsx."""
    DENSE = auto()
    """The dense weight of the convolution of dsx, as a parameter."""
    OTHER = auto()
    """Weights of its own, with another output."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An alternative to a convolution of dsx, with which it is compared.

    Args:
        module: Module that runs it.
        size: Bytes of its inputs, outputs, weights and copies, in a forward pass.
        channels_last: Whether its input has the memory layout channels_last.
        weights: Kind of its weights.
    """

    module: nn.Module
    size: int
    channels_last: bool = False
    weights: Weights = Weights.DENSE

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
        reference: Module that computes the expected output of the module in float64.
        share: Multiply-adds of the convolution over those of the dense one.
        padding: Packed weights over live weights in the block-sparse plan of the convolution.
        flops: Multiply-adds of the module for the batch.
        size: Bytes of the input, output and live weights of the module.
        contenders: The contenders by name.
    """

    module: nn.Module
    conv: DsxConv
    x: Tensor
    reference: nn.Module
    share: float
    padding: float
    flops: int
    size: int
    contenders: dict[str, Contender]


class Reference(nn.Module):
    """The dense convolution with the weight of a convolution of dsx, in float64.

    torch computes it by code of its own, which no contender in float32 shares.

    Args:
        conv: Convolution whose weight is used; it is copied.
    """

    def __init__(self, conv: DsxConv) -> None:
        super().__init__()
        self.conv = copy.deepcopy(conv).double()

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Return the dense weight, (Cout, Cin, K, K), and bias, (Cout,) or None, differentiable."""
        return self.conv.dense_weight(), self.conv.dense_bias()

    def convolve(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the dense convolution.

        Args:
            input: Batch of images, (B, Cin, H, W), float64.
            weight: Dense weight, (Cout, Cin, K, K).
            bias: Bias, (Cout,), or None.

        Returns:
            The output, (B, Cout, OH, OW).
        """
        geometry = self.conv.geometry
        return geometry.convolve(input, weight, bias, geometry.whole, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution of dsx.

        Args:
            input: Batch of images, (B, Cin, H, W), float64.

        Returns:
            The output, (B, Cout, OH, OW).
        """
        return self.convolve(input, *self.dense())


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
        own_size = BYTES * (images + grouped.weight.numel())
        contenders |= _with_last(GROUPED, grouped, own_size, Weights.OTHER)
    composition = compose(conv)
    copied = BYTES * copied_channels(composition) * batch * layer.side**2
    contenders[COMPOSITION] = Contender(
        module=composition, size=size + copied, weights=Weights.OPERATOR
    )
    return Lineup(
        module=conv,
        conv=conv,
        x=x,
        reference=Reference(conv),
        padding=plan_of(conv).padding,
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
    name: str, module: nn.Module, size: int, weights: Weights = Weights.DENSE
) -> Iterator[tuple[str, Contender]]:
    """Yield a contender in both memory layouts."""
    yield name, Contender(module=module, size=size, weights=weights)
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield name + LAST, Contender(module=last, size=size, channels_last=True, weights=weights)


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
    images = x.numel() + layer.out_channels * pixels
    dense = conv.geometry.conv2d(conv.dense_weight(), None)
    composition = block(compose(conv))
    middle = BYTES * channels * pixels
    copied = BYTES * copied_channels(composition) * pixels
    size = BYTES * (images + channels * layer.out_channels) + middle
    cost = conv.cost((layer.out_side, layer.out_side))
    return Lineup(
        module=block(conv),
        conv=conv,
        x=x,
        reference=copy.deepcopy(block(Reference(conv))).double(),
        padding=plan_of(conv).padding,
        share=cost.flops / (channels * layer.out_channels * layer.out_side**2),
        flops=cost.flops * batch + channels * kernel**2 * pixels,
        size=BYTES * (images + cost.params + first.weight.numel()),
        contenders={
            **dict(_with_last(DENSE, _folded(block(dense)), size)),
            COMPOSITION: Contender(
                module=composition, size=size + copied, weights=Weights.OPERATOR
            ),
        },
    )


def _folded(block: nn.Sequential) -> nn.Sequential:
    """Fold the BNs of a block, as a user of torch would do as well."""
    first, norm, relu, second, last_norm, last_relu = block
    folded = []
    for conv, of in ((first, norm), (second, last_norm)):
        assert isinstance(conv, nn.Conv2d) and isinstance(of, nn.BatchNorm2d)
        folded.append(fuse_conv_bn_eval(conv.eval(), of.eval()))
    return nn.Sequential(folded[0], relu, folded[1], last_relu)


def _norm(channels: int) -> nn.BatchNorm2d:
    """Build a BN with random statistics, which cannot be left out unnoticed."""
    norm = nn.BatchNorm2d(channels)
    assert norm.running_mean is not None and norm.running_var is not None
    nn.init.normal_(norm.running_mean, 0.0, 0.1)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.normal_(norm.bias, 0.0, 0.1)
    return norm
