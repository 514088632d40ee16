"""Dense: the whole kernel over all channels, as the convolution that stood there."""

from torch import nn

from dsx.conv._base import DsxConv
from dsx.conv.deploy._base import Form


def build(conv: DsxConv) -> nn.Module:
    """Fill in the zeros."""
    return conv.geometry.conv2d(conv.dense_weight(), conv.dense_bias())


FORM = Form(build=build)
