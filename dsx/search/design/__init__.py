"""One design: selected from a study, measured beside the baseline, compared across backends."""

from dsx.search.design.compare_backends import (
    EAGER,
    InBackend,
    check_backends,
    compare_backends,
)
from dsx.search.design.measure_design import Measured, MetricResult, Single
from dsx.search.design.selection import load_choice

__all__ = [
    "EAGER",
    "InBackend",
    "Measured",
    "MetricResult",
    "Single",
    "check_backends",
    "compare_backends",
    "load_choice",
]
