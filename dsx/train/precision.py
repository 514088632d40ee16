"""The floating-point precision of training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dsx.conv.modules import WindowedConv2d

CPUINFO = Path("/proc/cpuinfo")
CPU_FLAGS = ("avx512_bf16", "amx_bf16")
"""Flags of CPUs with fast bfloat16."""
NARROW = 8
"""Number of channels per group below which a CPU is slower in bfloat16, by a factor of up to 70
for depthwise convolutions."""


def chosen_precision(
    requested: Literal["float32", "bfloat16", "auto"],
    device: torch.device | str = "cpu",
    cpuinfo: Path = CPUINFO,
) -> Literal["float32", "bfloat16"]:
    """Return the precision of a training.

    Args:
        requested: Value of `train.precision` of a space; "auto" selects bfloat16 if the device is
            fast in it.
        device: Device of the network.
        cpuinfo: File in which Linux lists the features of the processor.

    Returns:
        The name of the dtype of convolutions and matrix products; weights are always float32.
    """
    if requested != "auto":
        return requested
    return "bfloat16" if _has_fast_bfloat16(torch.device(device), cpuinfo) else "float32"


def _has_fast_bfloat16(device: torch.device, cpuinfo: Path) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not cpuinfo.exists():
        return False
    flags = cpuinfo.read_text(encoding="utf-8").split()
    return any(flag in flags for flag in CPU_FLAGS)


@contextmanager
def narrow_in_float32(network: nn.Module) -> Iterator[None]:
    """Run the narrow grouped convolutions of a network in float32 within the context.

    Args:
        network: Network on a CPU; it is restored afterwards.
    """
    narrow = [module for module in network.modules() if _is_narrow(module)]
    before = [vars(module).get("forward") for module in narrow]
    for module in narrow:
        module.forward = _in_float32(module.forward)
    try:
        yield
    finally:
        for module, forward in zip(narrow, before, strict=True):
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _is_narrow(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        groups = module.groups
    # A sliding window is computed as a dense convolution.
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
