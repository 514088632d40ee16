"""Energy counters of processors and GPUs."""

from pathlib import Path
from typing import Protocol

import torch

from dsx.errors import Unsupported
from dsx.measure.machine import nvml as _nvml

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """An energy counter.

    Attributes:
        name: Name of the interface that provides the counter.
    """

    name: str

    def spent(self) -> float:
        """Return the energy since the last call.

        Returns:
            Millijoules.
        """
        ...


class RaplMeter:
    """The energy counters of the processor packages, as provided by Linux.

    Only packages are read, because they include the domains inside them, and the domain of the
    whole platform (`psys`) includes the packages.

    Args:
        powercap: Folder of the kernel's energy counters.
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
        """Return the energy since the last call, which must not be more than minutes ago.

        Returns:
            Millijoules.
        """
        before, self._before = self._before, self._read()
        # A counter that exceeds its range continues at 0.
        return sum(
            (self._before[domain] - before[domain]) % (end + 1)
            for domain, end in self._ranges.items()
        ) / 1000  # fmt: skip


def packages(powercap: Path = POWERCAP) -> list[Path]:
    """List the energy domains of whole processor packages.

    Args:
        powercap: Folder of the kernel's energy counters.

    Returns:
        Folders of the domains.
    """
    domains = sorted(powercap.glob("intel-rapl:*"))
    return [one for one in domains if (one / "name").read_text().startswith("package")]


class NvmlMeter:
    """The energy counter of the current GPU of torch."""

    name = "NVML"

    def __init__(self) -> None:
        self._gpu = torch.cuda.current_device()
        self._before = self._read()

    def _read(self) -> int:
        energy = _nvml.energy_mj(self._gpu)
        assert energy is not None, "the GPU has no energy counter, see unsupported_gpu_energy()"
        return energy

    def spent(self) -> float:
        """Return the energy since the last call.

        Returns:
            Millijoules.
        """
        before, self._before = self._before, self._read()
        return float(self._before - before)


def unsupported_cpu_energy(powercap: Path = POWERCAP) -> Unsupported | None:
    """Check whether the energy of the processor can be read.

    Args:
        powercap: Folder of the kernel's energy counters.

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
