"""Measurements, selected deployed forms and reference times of devices in a database."""

from dsx.store.measurements.calibration import MachineReferences, References
from dsx.store.measurements.measurements import Deployment, KnownForms, Memory
from dsx.store.measurements.readings import (
    load_measurements,
    load_own,
    load_under,
)
from dsx.store.measurements.repeatability import Agreement, load_agreement

__all__ = [
    "Agreement",
    "Deployment",
    "KnownForms",
    "MachineReferences",
    "Memory",
    "References",
    "load_agreement",
    "load_measurements",
    "load_own",
    "load_under",
]
