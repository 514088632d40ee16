"""The precision that training computes in."""

from pathlib import Path
from typing import Literal

import torch

CPUINFO = Path("/proc/cpuinfo")
CPU_FLAGS = ("avx512_bf16", "amx_bf16")
"""What a CPU with fast bfloat16 says of itself in /proc/cpuinfo; measured in docs/training.md."""


def chosen_precision(
    wanted: Literal["float32", "bfloat16", "auto"], device: torch.device | str = "cpu"
) -> Literal["float32", "bfloat16"]:
    """Say which precision a training computes in.

    Args:
        wanted: `train.precision` of a space; "auto" is bfloat16 where the device is fast in it.
        device: Where the network is.

    Returns:
        The name of the dtype of convolutions and matrix products; weights are always float32.
    """
    if wanted != "auto":
        return wanted
    return "bfloat16" if _fast(torch.device(device)) else "float32"


def _fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not CPUINFO.exists():
        return False
    words = CPUINFO.read_text(encoding="utf-8").split()
    return any(flag in words for flag in CPU_FLAGS)
