"""One design: selection from a study, measurement, and comparison of backends."""

from dsx.search.design.compare_backends import (
    EAGER,
    BackendLatency,
    check_backends,
    compare_backends,
)
from dsx.search.design.measure_design import Measured, MetricResult, Single
from dsx.search.design.selection import StudyChoice, load_choice
from dsx.search.design.slot_table import SlotRow, SlotTable, load_slots

__all__ = [
    "EAGER",
    "BackendLatency",
    "Measured",
    "MetricResult",
    "Single",
    "SlotRow",
    "SlotTable",
    "StudyChoice",
    "check_backends",
    "compare_backends",
    "load_choice",
    "load_slots",
]
