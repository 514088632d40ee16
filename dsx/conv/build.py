"""From a spec and a nn.Conv2d to the convolution that replaces it."""

import torch
from torch import Tensor, nn

from dsx.conv._base import DsxConv
from dsx.conv.fixed import FixedConv2d, spread
from dsx.conv.separable import SeparableConv2d
from dsx.conv.spec import LEARNED, ConvSpec, standing_spec
from dsx.conv.window import window_channels
from dsx.errors import SpecError


def build(spec: ConvSpec, conv: nn.Conv2d) -> DsxConv:
    """Build a fresh convolution with these dials, as a drop-in for another one.

    Args:
        spec: The dials; canonical or not. `keep` builds what stands there.
        conv: The convolution to replace. It is only read: geometry, bias or none, device, dtype,
            and the size of its weights, so that outputs keep their variance.

    Returns:
        The module, with fresh weights from torch's global random numbers.

    Raises:
        SpecError: If these dials cannot be set there; says why.
    """
    spec = spec.at(conv)
    if spec.keeps:
        spec = standing_spec(conv)
    require_built(spec)
    return SeparableConv2d(spec, conv) if spec.separable else FixedConv2d(spec, conv)


def require_built(spec: ConvSpec) -> None:
    """Refuse the dials that dsx can write down but not build yet.

    Args:
        spec: Any spec.

    Raises:
        SpecError: For learned shapes and binary bases.
    """
    if spec.kernel_shape == LEARNED:
        raise SpecError("kernel_shape: learned is not built by this version of dsx")
    if spec.binary_basis:
        raise SpecError("binary_basis above 0 is not built by this version of dsx (allowed: 0)")


def from_conv2d(conv: nn.Conv2d, spec: ConvSpec) -> nn.Module:
    """Replace a trained convolution and keep what can be kept of its weight.

    Args:
        conv: The trained convolution; only read.
        spec: The dials.

    Returns:
        `conv` itself where the spec is `keep` there; else a module with the weight restricted to
        its live positions, or the nearest separable one.

    Raises:
        SpecError: If these dials cannot be set there; says why.
    """
    if spec.at(conv).keeps:
        return conv
    module = build(spec, conv)
    module.project(dense_weight(conv), None if conv.bias is None else conv.bias.detach())
    return module


def dense_weight(conv: nn.Conv2d) -> Tensor:
    """Write the weight of any nn.Conv2d over all its input channels.

    Args:
        conv: Grouped or not.

    Returns:
        (Cout, Cin, K, K), detached.
    """
    weight = conv.weight.detach()
    if conv.groups == 1:
        return weight
    channels = window_channels(conv.in_channels, conv.out_channels, conv.groups, "block")
    with torch.no_grad():
        return spread(weight, channels.to(weight.device), conv.in_channels)
