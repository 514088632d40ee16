"""Measurements, selected deployed forms and reference times of devices in a database."""

from dsx.store.measurements.calibration import Calibration, MachineReferenceTimes
from dsx.store.measurements.measurements import (
    Deployment,
    FormCache,
    MeasurementStore,
    open_measurements,
)
from dsx.store.measurements.readings import (
    load_measurements,
    load_own_estimates,
    load_readings_under,
)
from dsx.store.measurements.repeatability import Agreement, load_agreement

__all__ = [
    "Agreement",
    "Calibration",
    "Deployment",
    "FormCache",
    "MachineReferenceTimes",
    "MeasurementStore",
    "load_agreement",
    "load_measurements",
    "load_own_estimates",
    "load_readings_under",
    "open_measurements",
]
