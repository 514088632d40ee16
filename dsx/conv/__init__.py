"""Convolutions that are defined by four dials.

from dsx.conv import ConvSpec, preset, build, from_conv2d, deploy
"""

from dsx.conv.build import build, dense_weight, from_conv2d
from dsx.conv.cost import REAL_BITS, RIGID_BITS, Cost, real_cost, spec_cost
from dsx.conv.deploy import Deployed, deploy
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.shape_learning import ShapeSchedule, regulariser
from dsx.conv.network_calls import duplicate, move, set_mode
from dsx.conv.sparsity.window import unread_channels, window_channels
from dsx.conv.spec.notation import notation
from dsx.conv.spec.presets import preset, preset_names
from dsx.conv.spec.spec import KEEP, ConvSpec, original_spec
from dsx.conv.timing import MIN_ROUNDS, Run, Timer, default_clock, medians, rounds_until

__all__ = [
    "KEEP",
    "MIN_ROUNDS",
    "REAL_BITS",
    "RIGID_BITS",
    "ConvSpec",
    "Cost",
    "Deployed",
    "DsxConv",
    "Run",
    "ShapeSchedule",
    "Timer",
    "build",
    "default_clock",
    "dense_weight",
    "deploy",
    "duplicate",
    "from_conv2d",
    "medians",
    "move",
    "notation",
    "original_spec",
    "preset",
    "preset_names",
    "real_cost",
    "regulariser",
    "rounds_until",
    "set_mode",
    "spec_cost",
    "unread_channels",
    "window_channels",
]
