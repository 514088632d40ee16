"""Specs: settings of the four dials, their canonical forms, presets and descriptions."""

from dsx.conv.spec.presets import preset_arguments, preset_names
from dsx.conv.spec.spec import DENSITY, original_spec

__all__ = ["DENSITY", "original_spec", "preset_arguments", "preset_names"]
