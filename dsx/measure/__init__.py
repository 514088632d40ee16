"""Measuring: one file per metric, each says its unit, its direction and what it costs to know."""

from dsx.measure._base import Metric
from dsx.measure.candidate import Candidate
from dsx.measure.device import Device, this_device
from dsx.measure.measurement import Measurement, Provenance

__all__ = ["Candidate", "Device", "Measurement", "Metric", "Provenance", "this_device"]
