"""Timing: networks and convolutions timed in turn on an otherwise idle device."""

from dsx.measure.timing.form_timer import timer
from dsx.measure.timing.interleaved import time_in_turn
from dsx.measure.timing.noise_check import Quiet
from dsx.measure.timing.noise_check import look as look_for_noise
from dsx.measure.timing.statistics import median_interval, spread
from dsx.measure.timing.workload_class import COARSE, WorkloadClass, classify_workload

__all__ = [
    "COARSE",
    "Quiet",
    "WorkloadClass",
    "classify_workload",
    "look_for_noise",
    "median_interval",
    "spread",
    "time_in_turn",
    "timer",
]
