"""Grouped: a grouped convolution, for channel windows that do not overlap."""

from torch import nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.windowed import WindowedConv2d


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to groups in blocks and to interleaved groups (channel shuffle).

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, WindowedConv2d) or conv.layout.groups == 1:
        return None
    groups, step = conv.layout.groups, conv.layout.step
    weight = conv.live_weight()
    if step is None:
        return conv.geometry.conv2d(weight, conv.bias, conv.layout.box, groups)
    each, rest = divmod(conv.out_channels, groups)
    if step != weight.shape[1] or rest:
        return None
    # Output i * groups + g reads group g: sort the outputs by group, and let the shuffle reorder.
    weight = weight.reshape(each, groups, *weight.shape[1:]).transpose(0, 1).flatten(0, 1)
    bias = None if conv.bias is None else conv.bias.reshape(each, groups).T.flatten()
    grouped = conv.geometry.conv2d(weight, bias, conv.layout.box, groups)
    return nn.Sequential(grouped, nn.ChannelShuffle(groups))


FORM = Form(build=build)
