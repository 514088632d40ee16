"""Throttle: whether a processor was slowed down, by heat or a power limit, during a measurement."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsx.analysis import Machine
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


class Throttling(NamedTuple):
    """Whether the clocks of a processor were held down.

    Attributes:
        throttled: Whether they were; None if the machine does not tell.
        reasons: Reasons of the throttling.
    """

    throttled: bool | None
    reasons: tuple[str, ...] = ()

    def of(self, machine: Machine) -> Machine:
        """Return the state of a machine with this throttling.

        Args:
            machine: State of the machine.
        """
        return replace(machine, throttled=self.throttled, throttled_by=self.reasons)


def throttled(before: int | None, gpu: int | None = None, cpus: Path = CPUS) -> Throttling:
    """Say whether clocks were held down.

    Args:
        before: What `events` said before the measurement.
        gpu: Number of the GPU that was measured, asked about this very moment; None for none.
        cpus: The kernel's folder of processors.

    Returns:
        Whether they were, and why.
    """
    reasons = None
    if gpu is not None:
        reasons = _nvml.slowed_by(gpu)
    elif before is not None:
        after = events(cpus)
        reasons = ["temperature"] if after is not None and after > before else []
    return Throttling(None if reasons is None else bool(reasons), tuple(reasons or ()))
