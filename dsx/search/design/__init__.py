"""One design: selection from a study, measurement, and comparison of backends."""

from dsx.search.design.compare_backends import (
    EAGER,
    BackendLatency,
    check_backends,
    compare_backends,
)
from dsx.search.design.measure_design import DesignMeasurement, Measured, MetricResult
from dsx.search.design.selection import SelectedDesign, load_selected
from dsx.search.design.slot_table import SlotRow, SlotTable, load_slots

__all__ = [
    "EAGER",
    "BackendLatency",
    "DesignMeasurement",
    "Measured",
    "MetricResult",
    "SelectedDesign",
    "SlotRow",
    "SlotTable",
    "check_backends",
    "compare_backends",
    "load_selected",
    "load_slots",
]
