"""Timing: networks and convolutions timed in turn on an otherwise idle device."""

from dsx.measure.timing.form_timer import timer
from dsx.measure.timing.interleaved import time_in_turn
from dsx.measure.timing.noise_check import Quiet
from dsx.measure.timing.noise_check import look as look_for_noise
from dsx.measure.timing.statistics import median_interval, spread
from dsx.measure.timing.workload_class import COARSE, Company, company

__all__ = [
    "COARSE",
    "Company",
    "Quiet",
    "company",
    "look_for_noise",
    "median_interval",
    "spread",
    "time_in_turn",
    "timer",
]
