"""Throttle: whether a processor was slowed down, by heat or a power limit, during a measurement."""

from pathlib import Path
from typing import Any

from dsx.measure.machine import nvml as _nvml
from dsx.measure.machine.power import CPUS

_COUNTERS = "cpu[0-9]*/thermal_throttle/*_throttle_count"


def events(cpus: Path = CPUS) -> int | None:
    """Count how often the processor has slowed itself down since the system began.

    Args:
        cpus: The kernel's folder of processors; tests have one of their own.

    Returns:
        The sum over cores and packages; None where the kernel does not tell (it does on Intel's).
    """
    files = list(cpus.glob(_COUNTERS))
    return sum(int(file.read_text()) for file in files) if files else None


def throttled(before: int | None, gpu: int | None = None, cpus: Path = CPUS) -> dict[str, Any]:
    """Say whether clocks were held down.

    Args:
        before: What `events` said before the measurement.
        gpu: Number of the GPU that was measured, asked about this very moment; None for none.
        cpus: The kernel's folder of processors.

    Returns:
        Plain JSON values: `throttled`, None where the machine does not tell; `throttled_by`, why.
    """
    reasons = None
    if gpu is not None:
        reasons = _nvml.slowed_by(gpu)
    elif before is not None:
        after = events(cpus)
        reasons = ["temperature"] if after is not None and after > before else []
    return {"throttled": None if reasons is None else bool(reasons), "throttled_by": reasons or []}
