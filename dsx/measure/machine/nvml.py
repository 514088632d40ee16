"""NVML: what NVIDIA's driver tells of a GPU beyond what torch does; needs the extra `nvidia`."""

import functools
import importlib.util
from types import ModuleType
from typing import Any

import torch

from dsx.errors import Unsupported

NEEDS = "the package nvidia-ml-py: pip install 'dsx[nvidia]'"
_SLOWED = {
    "SwPowerCap": "power limit",
    "HwPowerBrakeSlowdown": "power brake",
    "SwThermalSlowdown": "temperature",
    "HwThermalSlowdown": "temperature",
    "HwSlowdown": "slowed down by the hardware",
}


@functools.cache
def unsupported() -> Unsupported | None:
    """Return why NVML cannot be used; None if it can."""
    if importlib.util.find_spec("pynvml") is None:
        return Unsupported(f"NVML needs {NEEDS}")
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Unsupported(f"NVML cannot be used: {error}")
    return None


def power_limit_watts(gpu: int) -> int | None:
    """Give the power limit that a GPU is set to; None where it cannot be told."""
    found = _ask(gpu, "nvmlDeviceGetPowerManagementLimit")
    return None if found is None else round(found / 1000)


def energy_mj(gpu: int) -> int | None:
    """Give the millijoules that a GPU has used since its driver was loaded; None if untold."""
    found = _ask(gpu, "nvmlDeviceGetTotalEnergyConsumption")
    return None if found is None else int(found)


def slowed_by(gpu: int) -> list[str] | None:
    """Say what holds the clock of a GPU down at this moment; None where it cannot be told."""
    mask = _ask(gpu, "nvmlDeviceGetCurrentClocksThrottleReasons")
    if mask is None:
        return None
    nvml = _nvml()
    words = [w for n, w in _SLOWED.items() if mask & getattr(nvml, f"nvmlClocksThrottleReason{n}")]
    return list(dict.fromkeys(words))


def _ask(gpu: int, question: str) -> Any:
    """Ask the driver about a GPU, by torch's number; None where this GPU has no answer."""
    if unsupported() or not torch.cuda.is_available():
        return None
    nvml = _nvml()
    # The driver numbers all GPUs, torch those that this process may see.
    name = f"GPU-{torch.cuda.get_device_properties(gpu).uuid}"
    try:
        return getattr(nvml, question)(nvml.nvmlDeviceGetHandleByUUID(name))
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_NotFound, nvml.NVMLError_NoPermission):
        return None


def _nvml() -> ModuleType:
    import pynvml

    module: ModuleType = pynvml
    return module
