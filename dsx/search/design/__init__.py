"""One design: selected from a study, measured beside the baseline, compared across backends."""

from dsx.search.design.compare_backends import (
    EAGER,
    InBackend,
    check_backends,
    compare_backends,
)
from dsx.search.design.measure_design import Measured, MetricResult, Single
from dsx.search.design.selection import StudyChoice, load_choice
from dsx.search.design.slot_table import SlotRow, SlotTable, load_slots

__all__ = [
    "EAGER",
    "InBackend",
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
