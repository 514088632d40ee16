"""Meters: what tells the energy that a processor has used."""

from pathlib import Path
from typing import Protocol

import torch

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
        assert energy is not None, "asked although absent() says that there is no counter"
        return energy

    def spent(self) -> float:
        """Give the millijoules since the last call."""
        before, self._before = self._before, self._read()
        return float(self._before - before)


def absent_rapl(powercap: Path = POWERCAP) -> str:
    """Say why the processor's energy cannot be read; an empty string where it can."""
    found = packages(powercap)
    if not found:
        return (
            "cannot be told on this machine: it has no counter of its processor's energy "
            f"(RAPL, under {powercap})"
        )
    try:
        for domain in found:
            (domain / "energy_uj").read_text()
    except PermissionError:
        return (
            "cannot be told: only root may read the energy counters of this machine (to allow it "
            f"until the next start: sudo chmod a+r {powercap}/intel-rapl:*/energy_uj)"
        )
    return ""


def absent_nvml() -> str:
    """Say why the GPU's energy cannot be read; an empty string where it can."""
    if not torch.cuda.is_available():
        return "cannot be told on this machine: it has no GPU that torch can use"
    if _nvml.missing():
        return f"cannot be told on this machine: {_nvml.missing()}"
    if _nvml.energy_mj(torch.cuda.current_device()) is None:
        return "cannot be told on this machine: its GPU has no counter of its energy"
    return ""
