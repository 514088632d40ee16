"""Interleaved timing of networks and convolutions while holding the device lock."""

from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.form_timer import timer
from dsx.measure.timing.interleaved import time_interleaved
from dsx.measure.timing.noise_check import NoiseCheck, check_noise
from dsx.measure.timing.statistics import median_interval, spread
from dsx.measure.timing.workload_class import COARSE, WorkloadClass, classify_workload

__all__ = [
    "COARSE",
    "NoiseCheck",
    "WorkloadClass",
    "check_noise",
    "classify_workload",
    "exclusive",
    "lock_name",
    "median_interval",
    "spread",
    "time_interleaved",
    "timer",
]
