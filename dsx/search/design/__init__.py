"""One design: selected from a study, measured beside the baseline, compared across backends."""

from dsx.search.design.compare_backends import EAGER, InBackend, compare_backends
from dsx.search.design.measure_design import Measured, MetricResult, Single
from dsx.search.design.selection import StudyChoice, load_choice

__all__ = [
    "EAGER",
    "InBackend",
    "Measured",
    "MetricResult",
    "Single",
    "StudyChoice",
    "compare_backends",
    "load_choice",
]
