"""Box: dense in the channels, on the bounding box of the kernel shape."""

from torch import nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.layout import crop
from dsx.conv.modules.windowed import WindowedConv2d


def build(conv: DsxConv) -> nn.Module | None:
    """Crop the dense weight; applies where the shape leaves an edge of the kernel empty."""
    if not isinstance(conv, WindowedConv2d) or conv.layout.box == conv.geometry.whole:
        return None
    weight = crop(conv.dense_weight(), conv.layout.box)
    return conv.geometry.conv2d(weight, conv.bias, conv.layout.box)


FORM = Form(build=build)
