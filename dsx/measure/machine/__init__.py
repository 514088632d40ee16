"""The machine: its devices, load, throttling, power and energy counters."""

from dsx.measure.machine.device import crowded
from dsx.measure.machine.energy_counters import absent_nvml, absent_rapl
from dsx.measure.machine.load import look as look_at_load
from dsx.measure.machine.load import since as load_since
from dsx.measure.machine.nvml import missing as missing_nvml
from dsx.measure.machine.throttling import events as throttle_events

__all__ = [
    "absent_nvml",
    "absent_rapl",
    "crowded",
    "load_since",
    "look_at_load",
    "missing_nvml",
    "throttle_events",
]
