"""Measuring: one file per metric, each says its unit, its direction and what it costs to know."""

from dsx.analysis import Measurement, Provenance
from dsx.measure.candidate import Candidate, Exported, training_facts
from dsx.measure.machine.device import Device, this_device
from dsx.measure.metrics._base import Metric

__all__ = [
    "Candidate",
    "Device",
    "Exported",
    "Measurement",
    "Metric",
    "Provenance",
    "this_device",
    "training_facts",
]
