"""Devices on which the kernels of GPUs are tested."""

import importlib.util

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
HAS_TRITON = importlib.util.find_spec("triton") is not None

NEEDS_GPU = [
    pytest.mark.cuda,
    pytest.mark.skipif(not HAS_GPU, reason="requires an NVIDIA GPU"),
]
NEEDS_TRITON = pytest.mark.skipif(not HAS_TRITON, reason="requires the extra triton")

KERNELS = [
    pytest.param(
        "cpu",
        marks=[
            pytest.mark.long,
            NEEDS_TRITON,
            pytest.mark.skipif(HAS_GPU, reason="the GPU is tested, not the interpreter"),
        ],
        id="interpreter",
    ),
    pytest.param("cuda", marks=NEEDS_GPU),
]
"""Triton's interpreter on the CPU, which is slow, and the GPU."""

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}
"""Absolute and relative: up to 300 products of order 1 are summed in another order."""
