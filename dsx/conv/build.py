"""From a spec and a nn.Conv2d to the convolution that replaces it."""

import torch
from torch import Tensor, nn

from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.modules.windowed import spread
from dsx.conv.sparsity.attributes import sizes_of
from dsx.conv.sparsity.window import window_channels
from dsx.conv.spec.spec import ConvSpec, original_spec


def build(spec: ConvSpec, conv: nn.Conv2d) -> DsxConv:
    """Build a fresh convolution with these dials, as a drop-in for another one.

    Args:
        spec: The dials; canonical or not. `keep` builds what stands there. Without a word on
            `scale`, a binary basis has none, as published: a BN that follows cannot be seen here.
        conv: The convolution to replace. It is only read: geometry, bias or none, device, dtype,
            and the size of its weights, so that outputs keep their variance.

    Returns:
        The module, with fresh weights from torch's global random numbers.

    Raises:
        SpecError: If these dials cannot be set there; says why.
    """
    return _build(spec, conv, scaled=False)


def _build(spec: ConvSpec, conv: nn.Conv2d, scaled: bool) -> DsxConv:
    sizes = sizes_of(conv)
    spec = spec.at(sizes)
    if spec.keeps:
        spec = original_spec(sizes)
    spec = spec.scaled(scaled)
    if spec.separable:
        return SeparableConv2d(spec, conv)
    if spec.learned:
        return LearnedConv2d(spec, conv)
    return BinaryConv2d(spec, conv) if spec.binary_basis else FixedConv2d(spec, conv)


def from_conv2d(conv: nn.Conv2d, spec: ConvSpec) -> nn.Module:
    """Replace a trained convolution and keep what can be kept of its weight.

    Args:
        conv: The trained convolution; only read.
        spec: The dials.

    Returns:
        `conv` itself where the spec is `keep` there; else a module with the weight restricted to
        its live positions, the nearest separable one, the nearest stack of binary filters (scaled,
        unless the spec says otherwise), or the shapes that hold most of the weight's energy.

    Raises:
        SpecError: If these dials cannot be set there; says why.
    """
    if spec.at(sizes_of(conv)).keeps:
        return conv
    module = _build(spec, conv, scaled=True)
    module.project(dense_weight(conv), None if conv.bias is None else conv.bias.detach())
    return module


def dense_weight(conv: nn.Conv2d) -> Tensor:
    """Write the weight of any nn.Conv2d over all its input channels.

    Args:
        conv: Grouped or not.

    Returns:
        (Cout, Cin, K, K), detached.
    """
    weight, sizes = conv.weight.detach(), sizes_of(conv)
    if sizes.groups == 1:
        return weight
    channels = window_channels(sizes.in_channels, sizes.out_channels, sizes.groups, "block")
    with torch.no_grad():
        return spread(weight, channels.to(weight.device), sizes.in_channels)
