"""Convolution modules with the four dials."""

from dsx.conv.modules.basis_maps import BasisMaps
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.conv.modules.shape_learning import decisions
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.layout import Layout

__all__ = [
    "BasisMaps",
    "BinaryConv2d",
    "FixedConv2d",
    "Layout",
    "LearnedConv2d",
    "SeparableConv2d",
    "WindowedConv2d",
    "decisions",
]
