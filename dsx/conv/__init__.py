"""Convolutions as points in a space of four dials.

from dsx.conv import ConvSpec, preset, build, from_conv2d, deploy
"""

from dsx.conv._base import DsxConv
from dsx.conv.build import build, dense_weight, from_conv2d
from dsx.conv.cost import Cost, real_cost, spec_cost
from dsx.conv.deploy import Deployed, deploy
from dsx.conv.presets import preset, preset_names
from dsx.conv.shaping import Shaping, regulariser
from dsx.conv.spec import KEEP, ConvSpec, standing_spec
from dsx.conv.window import unread_channels, window_channels
from dsx.conv.words import words

__all__ = [
    "KEEP",
    "ConvSpec",
    "Cost",
    "Deployed",
    "DsxConv",
    "Shaping",
    "build",
    "dense_weight",
    "deploy",
    "from_conv2d",
    "preset",
    "preset_names",
    "real_cost",
    "regulariser",
    "spec_cost",
    "standing_spec",
    "unread_channels",
    "window_channels",
    "words",
]
