"""A network's loss, computed as the settings say: precision, memory layout, compiled or not."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.errors import DsxError
from dsx.space.yaml import Train
from dsx.train.augment import Targets
from dsx.train.precision import chosen_precision, narrow_in_float32


class Forward:
    """Computes the loss of a batch, or of a part of one.

    Args:
        network: The network; its parameters stay as they are and where they are.
        settings: Of the training.
        device: Where the network is.

    Raises:
        DsxError: If the network is to be compiled and there is no compiler.
    """

    def __init__(self, network: nn.Module, settings: Train, device: torch.device) -> None:
        self.plain = network
        self.network = compiled(network, device) if settings.compile else network
        self.settings = settings
        self.device = device.type
        self.reduced = chosen_precision(settings.precision, device) == "bfloat16"

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Make the network ready for this; afterwards it is as before."""
        if self.reduced and self.device == "cpu":
            with narrow_in_float32(self.plain):
                yield
        else:
            yield

    def laid_out(self, images: Tensor) -> Tensor:
        """Put images (B, C, H, W) into the memory layout of the settings."""
        if not self.settings.channels_last:
            return images
        # Written anew: one channel lies in either layout, and torch would take it for the other.
        return torch.empty_like(images, memory_format=torch.channels_last).copy_(images)

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Give the mean loss of images.

        Args:
            images: (B, C, H, W).
            targets: What they show.

        Returns:
            The cross entropy, ().
        """
        with torch.autocast(self.device, torch.bfloat16, enabled=self.reduced):
            logits = self.network(images)
        if self.reduced:
            logits = logits.float()
        smoothing = self.settings.label_smoothing
        losses = [
            share * F.cross_entropy(logits, labels, label_smoothing=smoothing)
            for labels, share in targets
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def compiled(network: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Compile a network; the parameters are shared.

    Args:
        network: The network.
        device: Where it is.

    Returns:
        What gives its output.

    Raises:
        DsxError: If there is no C++ compiler.
    """
    named = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(named) is None:
        raise DsxError(f"train.compile: needs a C++ compiler, and there is no {named}")
    # Torch keeps but a few compiled versions of a forward, and each candidate is another network.
    torch.compiler.reset()
    return torch.compile(network)
