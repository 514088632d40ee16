"""Throttling of the processor or GPU by temperature or power limits during a measurement."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsx.analysis import Machine
from dsx.measure.machine import nvml as _nvml
from dsx.measure.machine.power import CPUS

_COUNTERS = "cpu[0-9]*/thermal_throttle/*_throttle_count"


def events(cpus: Path = CPUS) -> int | None:
    """Count the throttling events of the processor since the system was started.

    Args:
        cpus: Folder of the kernel's files about processors.

    Returns:
        Sum over cores and packages; None if the kernel does not count them. It does so for
        processors of Intel.
    """
    files = list(cpus.glob(_COUNTERS))
    return sum(int(file.read_text()) for file in files) if files else None


class Throttling(NamedTuple):
    """The throttling of a processor or GPU.

    Attributes:
        throttled: Whether it was throttled; None if this is unknown.
        reasons: Reasons of the throttling.
    """

    throttled: bool | None
    reasons: tuple[str, ...] = ()

    def of(self, machine: Machine) -> Machine:
        """Add the throttling to the state of a machine.

        Args:
            machine: State of the machine.

        Returns:
            The state with the throttling.
        """
        return replace(machine, throttled=self.throttled, throttled_by=self.reasons)


def throttled(before: int | None, gpu: int | None = None, cpus: Path = CPUS) -> Throttling:
    """Check whether the processor or GPU was throttled during a measurement.

    Args:
        before: Number of events before the measurement; see `events`.
        gpu: Number of the measured GPU, whose current state is queried; None for the processor.
        cpus: Folder of the kernel's files about processors.

    Returns:
        The throttling and its reasons.
    """
    reasons = None
    if gpu is not None:
        reasons = _nvml.throttle_reasons(gpu)
    elif before is not None:
        after = events(cpus)
        reasons = ["temperature"] if after is not None and after > before else []
    return Throttling(None if reasons is None else bool(reasons), tuple(reasons or ()))
