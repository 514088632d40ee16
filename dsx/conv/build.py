"""Construction of the convolution that replaces a nn.Conv2d according to a spec."""

import torch
from torch import Tensor, nn

from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.sparsity.attributes import sizes_of
from dsx.conv.sparsity.layout import spread
from dsx.conv.sparsity.window import window_channels
from dsx.conv.spec.spec import ConvSpec, original_spec


def build(spec: ConvSpec, conv: nn.Conv2d) -> DsxConv:
    """Build a drop-in replacement for a convolution, with newly initialised weights.

    Args:
        spec: Setting of the dials, canonical or not. `keep` builds a dsx convolution that is
            equivalent to the original convolution. If `scale` is None, a binary basis has no
            scale, as published, because a BN that follows is not visible here.
        conv: Convolution to replace; it is not modified. Its geometry, device, dtype and presence
            of a bias are adopted, and its weights determine the variance of the new ones, so that
            the variance of the outputs is preserved.

    Returns:
        The module, initialised with torch's global random number generator.

    Raises:
        SpecError: If the spec is not supported for this convolution.
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
    """Build the replacement of a trained convolution, with its weight projected onto the spec.

    Args:
        conv: Trained convolution; it is not modified.
        spec: Setting of the dials, canonical or not.

    Returns:
        `conv` itself if the canonical form of the spec is `keep`; otherwise a module with the
        weight restricted to its live positions, the nearest separable kernel, the nearest binary
        basis (with a scale unless `scale` is False), or the learned shapes that preserve most of
        the energy of the weight.

    Raises:
        SpecError: If the spec is not supported for this convolution.
    """
    if spec.at(sizes_of(conv)).keeps:
        return conv
    module = _build(spec, conv, scaled=True)
    module.project(dense_weight(conv), None if conv.bias is None else conv.bias.detach())
    return module


def dense_weight(conv: nn.Conv2d) -> Tensor:
    """Return the weight of a convolution over all its input channels.

    Args:
        conv: Convolution, grouped or not.

    Returns:
        The detached weight (Cout, Cin, K, K), zero outside the group of each output channel.
    """
    weight, sizes = conv.weight.detach(), sizes_of(conv)
    if sizes.groups == 1:
        return weight
    channels = window_channels(sizes.in_channels, sizes.out_channels, sizes.groups, "block")
    with torch.no_grad():
        return spread(weight, channels.to(weight.device), sizes.in_channels)
