"""Properties of a network that are computed on the meta device."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dsx.space import Slot, slots


def on_meta(build: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """Build a network on the meta device, whose tensors have no values."""
    with torch.device("meta"):
        return build(**arguments)


def slots_at(network: nn.Module, side: int) -> dict[str, Slot]:
    """Return the slots by name for square images with three channels."""
    image = torch.empty(1, 3, side, side, device="meta")
    return {slot.name: slot for slot in slots(network, image)}


def counts(network: nn.Module, side: int) -> tuple[int, int]:
    """Count the params, and the multiply-adds for one square image."""
    params = sum(parameter.numel() for parameter in network.parameters())
    convs = sum(slot.cost().flops for slot in slots_at(network, side).values())
    linears = (module for module in network.modules() if isinstance(module, nn.Linear))
    return params, convs + sum(linear.weight.numel() for linear in linears)
