"""Profiles: the time of each slot of a deployed network."""

from dsx.measure.profile.profile import PLAIN, Breakdown, Layer, break_down, check_clocked

__all__ = ["PLAIN", "Breakdown", "Layer", "break_down", "check_clocked"]
