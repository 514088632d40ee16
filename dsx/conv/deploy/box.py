"""Box: a convolution over all channels, cropped to the bounding box of the kernel shape."""

from torch import nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.layout import crop


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies if the bounding box is smaller than the kernel.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, WindowedConv2d) or conv.layout.box == conv.geometry.whole:
        return None
    weight = crop(conv.dense_weight(), conv.layout.box)
    return conv.geometry.conv2d(weight, conv.bias, conv.layout.box)


FORM = Form(build=build)
