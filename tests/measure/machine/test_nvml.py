"""NVML: where it cannot be had, that is said, and nothing is claimed."""

from pathlib import Path

import pytest
import torch

from dsx.errors import Unsupported
from dsx.measure.machine import nvml as _nvml


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="has NVIDIA's driver")
def test_without_a_driver_it_says_so_and_claims_nothing() -> None:
    assert _nvml.unsupported() == Unsupported("NVML cannot be used: NVML Shared Library Not Found")
    assert _nvml.power_limit_watts(0) is None
    assert _nvml.energy_mj(0) is None
    assert _nvml.throttle_reasons(0) is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpu_tells_its_limit_and_its_energy() -> None:
    assert _nvml.unsupported() is None
    assert (_nvml.power_limit_watts(0) or 0) > 10
    before = _nvml.energy_mj(0)
    assert before is not None
