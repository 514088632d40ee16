"""Dense: the full kernel over all channels, including zeros, as an ordinary convolution."""

from torch import nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv


def build(conv: DsxConv) -> nn.Module:
    """Build the form; it always applies.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module.
    """
    return conv.geometry.conv2d(conv.dense_weight(), conv.dense_bias())


FORM = Form(build=build)
