"""NVML: properties of a GPU, which are unknown without the driver."""

from pathlib import Path

import pytest
import torch

from dsx.errors import Unsupported
from dsx.measure.machine import nvml as _nvml


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="has NVIDIA's driver")
def test_without_a_driver_all_properties_are_unknown() -> None:
    assert _nvml.unsupported() == Unsupported("NVML cannot be used: NVML Shared Library Not Found")
    assert _nvml.power_limit_watts(0) is None
    assert _nvml.energy_mj(0) is None
    assert _nvml.throttle_reasons(0) is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_gpu_has_a_power_limit_and_an_energy_counter() -> None:
    assert _nvml.unsupported() is None
    assert (_nvml.power_limit_watts(0) or 0) > 10
    before = _nvml.energy_mj(0)
    assert before is not None
