"""NVML: properties of a GPU that torch does not provide; requires the extra `nvidia`."""

import functools
import importlib.util
from types import ModuleType
from typing import Any

import torch

from dsx.errors import Unsupported

NEEDS = "the package nvidia-ml-py: pip install 'dsx[nvidia]'"
_REASONS = {
    "SwPowerCap": "power limit",
    "HwPowerBrakeSlowdown": "power brake",
    "SwThermalSlowdown": "temperature",
    "HwThermalSlowdown": "temperature",
    "HwSlowdown": "hardware slowdown",
}


@functools.cache
def unsupported() -> Unsupported | None:
    """Check whether NVML can be used.

    Returns:
        The reason why it cannot; None if it can.
    """
    if importlib.util.find_spec("pynvml") is None:
        return Unsupported(f"NVML needs {NEEDS}")
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Unsupported(f"NVML cannot be used: {error}")
    return None


def power_limit_watts(gpu: int) -> int | None:
    """Return the power limit of a GPU.

    Args:
        gpu: Number of the GPU in torch.

    Returns:
        The limit in watts; None if it is unknown.
    """
    found = _query(gpu, "nvmlDeviceGetPowerManagementLimit")
    return None if found is None else round(found / 1000)


def energy_mj(gpu: int) -> int | None:
    """Return the energy that a GPU has used since its driver was loaded.

    Args:
        gpu: Number of the GPU in torch.

    Returns:
        The energy in millijoules; None if it is unknown.
    """
    found = _query(gpu, "nvmlDeviceGetTotalEnergyConsumption")
    return None if found is None else int(found)


def throttle_reasons(gpu: int) -> list[str] | None:
    """Return the reasons for which a GPU is currently throttled.

    Args:
        gpu: Number of the GPU in torch.

    Returns:
        The reasons; None if they are unknown.
    """
    mask = _query(gpu, "nvmlDeviceGetCurrentClocksThrottleReasons")
    if mask is None:
        return None
    nvml = _nvml()
    reasons = [
        reason
        for name, reason in _REASONS.items()
        if mask & getattr(nvml, f"nvmlClocksThrottleReason{name}")
    ]
    return list(dict.fromkeys(reasons))


def _query(gpu: int, function: str) -> Any:
    """Call a function of NVML for a GPU; return None if the GPU does not support it."""
    if unsupported() or not torch.cuda.is_available():
        return None
    nvml = _nvml()
    # The driver numbers all GPUs, and torch only those that are visible to this process.
    name = f"GPU-{torch.cuda.get_device_properties(gpu).uuid}"
    try:
        return getattr(nvml, function)(nvml.nvmlDeviceGetHandleByUUID(name))
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_NotFound, nvml.NVMLError_NoPermission):
        return None


def _nvml() -> ModuleType:
    import pynvml

    module: ModuleType = pynvml
    return module
