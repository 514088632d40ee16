"""The machine: its devices, load, throttling, power settings and energy counters."""

from dsx.measure.machine.device import crowded
from dsx.measure.machine.energy_counters import unsupported_cpu_energy, unsupported_gpu_energy
from dsx.measure.machine.load import load_since, read_counters
from dsx.measure.machine.nvml import unsupported as unsupported_nvml
from dsx.measure.machine.throttling import events as throttle_events

__all__ = [
    "crowded",
    "load_since",
    "read_counters",
    "throttle_events",
    "unsupported_cpu_energy",
    "unsupported_gpu_energy",
    "unsupported_nvml",
]
