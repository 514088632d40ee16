"""Measuring: one file per metric, each says its unit, its direction and what it costs to know."""

from dsx.measure._base import Candidate, Metric, Reading
from dsx.measure.device import Device, this_device

__all__ = ["Candidate", "Device", "Metric", "Reading", "this_device"]
