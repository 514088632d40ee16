"""The precision that training computes in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dsx.conv.modules import WindowedConv2d

CPUINFO = Path("/proc/cpuinfo")
CPU_FLAGS = ("avx512_bf16", "amx_bf16")
"""What a CPU with fast bfloat16 says of itself."""
NARROW = 8
"""Channels of a group below which a CPU takes longer in bfloat16, up to 70 times (depthwise)."""


def chosen_precision(
    wanted: Literal["float32", "bfloat16", "auto"],
    device: torch.device | str = "cpu",
    cpuinfo: Path = CPUINFO,
) -> Literal["float32", "bfloat16"]:
    """Say which precision a training computes in.

    Args:
        wanted: `train.precision` of a space; "auto" is bfloat16 where the device is fast in it.
        device: Where the network is.
        cpuinfo: File in which Linux lists the features of the processor.

    Returns:
        The name of the dtype of convolutions and matrix products; weights are always float32.
    """
    if wanted != "auto":
        return wanted
    return "bfloat16" if _fast(torch.device(device), cpuinfo) else "float32"


def _fast(device: torch.device, cpuinfo: Path) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not cpuinfo.exists():
        return False
    words = cpuinfo.read_text(encoding="utf-8").split()
    return any(flag in words for flag in CPU_FLAGS)


@contextmanager
def narrow_in_float32(network: nn.Module) -> Iterator[None]:
    """Let the narrow grouped convolutions of a network compute in float32, whatever autocast says.

    Args:
        network: On a CPU; is as before afterwards.
    """
    narrow = [module for module in network.modules() if _is_narrow(module)]
    before = [vars(module).get("forward") for module in narrow]
    for module in narrow:
        module.forward = _in_float32(module.forward)
    try:
        yield
    finally:
        for module, own in zip(narrow, before, strict=True):
            if own is None:
                del module.forward
            else:
                module.forward = own


def _is_narrow(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        groups = module.groups
    # A window that slides is computed as a dense convolution.
    elif isinstance(module, WindowedConv2d) and module.columns is None:
        groups = module.frame.groups
    else:
        return False
    return groups > 1 and module.in_channels < NARROW * groups


def _in_float32(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wide(input: Tensor, *arguments: Any, **options: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(input.float(), *arguments, **options)

    return wide
