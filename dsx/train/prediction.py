"""Classify images with a trained network."""

import torch
from torch import Tensor, nn

from dsx.data import Split

BATCH = 512


def device_of(network: nn.Module) -> torch.device:
    """Say where a network is: where its first parameter is, or on the CPU."""
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def predict(network: nn.Module, split: Split, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classify images.

    Args:
        network: In eval mode.
        split: The images.
        dtype: What the network takes them in.

    Returns:
        The class with the largest logit, (N,), on the CPU.
    """
    with torch.inference_mode():
        parts = split.batches(torch.arange(len(split)), BATCH, device_of(network))
        return torch.cat([network(images.to(dtype)).argmax(1) for images, _ in parts]).cpu()
