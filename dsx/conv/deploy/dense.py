"""Dense: the whole kernel over all channels, as the convolution that stood there."""

from torch import nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv


def build(conv: DsxConv) -> nn.Module:
    """Fill in the zeros."""
    return conv.geometry.conv2d(conv.dense_weight(), conv.dense_bias())


FORM = Form(build=build)
