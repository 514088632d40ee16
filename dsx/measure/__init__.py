"""Measurement of designs: metrics, timing, the machine, and the backends that run networks."""

from dsx.analysis import ExampleResults, Measurement, Provenance
from dsx.measure.candidate import Candidate, Exported, training_facts
from dsx.measure.machine.device import Device, this_device
from dsx.measure.metrics._base import Metric

__all__ = [
    "Candidate",
    "Device",
    "ExampleResults",
    "Exported",
    "Measurement",
    "Metric",
    "Provenance",
    "this_device",
    "training_facts",
]
