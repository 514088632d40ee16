"""Measuring: one file per metric, each says its unit, its direction and what it costs to know."""

from dsx.measure._base import Metric
from dsx.measure.candidate import Candidate
from dsx.measure.device import Device, this_device
from dsx.study.measurement import Reading

__all__ = ["Candidate", "Device", "Metric", "Reading", "this_device"]
