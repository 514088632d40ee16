"""Meters: what tells the energy that a processor has used."""

from pathlib import Path
from typing import Protocol

import torch

from dsx.errors import Unsupported
from dsx.measure.machine import nvml as _nvml

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """Tells energy.

    Attributes:
        name: Where the numbers come from.
    """

    name: str

    def spent(self) -> float:
        """Give the millijoules since the last call."""
        ...


class RaplMeter:
    """The counters of the processor packages, as Linux shows them.

    Packages only: the domains inside them are counted in them, and the whole platform (`psys`)
    counts them again.

    Args:
        powercap: The kernel's folder; tests have one of their own.
    """

    name = "RAPL"

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._ranges = {
            domain: int((domain / "max_energy_range_uj").read_text())
            for domain in packages(powercap)
        }
        self._before = self._read()

    def _read(self) -> dict[Path, int]:
        return {domain: int((domain / "energy_uj").read_text()) for domain in self._ranges}

    def spent(self) -> float:
        """Give the millijoules since the last call, which must be minutes ago at most."""
        before, self._before = self._before, self._read()
        # A counter that has come to its end goes on at 0.
        return sum(
            (self._before[domain] - before[domain]) % (end + 1)
            for domain, end in self._ranges.items()
        ) / 1000  # fmt: skip


def packages(powercap: Path = POWERCAP) -> list[Path]:
    """List the energy domains of whole processor packages.

    Args:
        powercap: The kernel's folder.

    Returns:
        Their folders.
    """
    domains = sorted(powercap.glob("intel-rapl:*"))
    return [one for one in domains if (one / "name").read_text().startswith("package")]


class NvmlMeter:
    """The counter of the GPU that torch works on."""

    name = "NVML"

    def __init__(self) -> None:
        self._gpu = torch.cuda.current_device()
        self._before = self._read()

    def _read(self) -> int:
        energy = _nvml.energy_mj(self._gpu)
        assert energy is not None, "the GPU has no energy counter, see unsupported_gpu_energy()"
        return energy

    def spent(self) -> float:
        """Give the millijoules since the last call."""
        before, self._before = self._before, self._read()
        return float(self._before - before)


def unsupported_cpu_energy(powercap: Path = POWERCAP) -> Unsupported | None:
    """Check whether the energy of the processor can be read.

    Args:
        powercap: The kernel's folder of energy counters.

    Returns:
        The reason why it cannot; None if it can.
    """
    found = packages(powercap)
    if not found:
        return Unsupported(
            "cannot be measured on this machine: the processor has no energy counter (RAPL, under "
            f"{powercap})"
        )
    try:
        for domain in found:
            (domain / "energy_uj").read_text()
    except PermissionError:
        return Unsupported(
            "cannot be measured: only root may read the energy counters of this machine (to allow "
            f"it until the next boot: sudo chmod a+r {powercap}/intel-rapl:*/energy_uj)"
        )
    return None


def unsupported_gpu_energy() -> Unsupported | None:
    """Check whether the energy of the GPU can be read.

    Returns:
        The reason why it cannot; None if it can.
    """
    here = "cannot be measured on this machine"
    if not torch.cuda.is_available():
        return Unsupported(f"{here}: torch finds no GPU")
    if problem := _nvml.unsupported():
        return Unsupported(f"{here}: {problem.reason}")
    if _nvml.energy_mj(torch.cuda.current_device()) is None:
        return Unsupported(f"{here}: the GPU has no energy counter")
    return None
