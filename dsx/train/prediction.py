"""Classify images with a trained network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.data import Split

BATCH = 512


def device_of(network: nn.Module) -> torch.device:
    """Say where a network is: where its first parameter is, or on the CPU."""
    first = next(iter(network.parameters()), None)
    return torch.device("cpu") if first is None else first.device


def predict(
    network: nn.Module,
    split: Split,
    dtype: torch.dtype = torch.float32,
    yield_device: Callable[[], None] = lambda: None,
) -> Tensor:
    """Classify images.

    Args:
        network: In eval mode.
        split: The images.
        dtype: What the network takes them in.
        give_way: Called between two batches; may take its time.

    Returns:
        The class with the largest logit, (N,), on the CPU.
    """
    found: list[Tensor] = []
    with torch.inference_mode(), activity(Kind.CLASSIFYING, len(split)) as progress:
        for images, _ in split.batches(torch.arange(len(split)), BATCH, device_of(network)):
            progress.advance(BATCH * len(found))
            found.append(network(images.to(dtype)).argmax(1))
            yield_device()
    return torch.cat(found).cpu()
