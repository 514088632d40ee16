"""The forward pass and the loss of a network in a given precision and memory layout."""

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
    """The computation of the loss of a batch, or of a part of one.

    Args:
        network: Network to train; its parameters are neither converted nor moved.
        settings: Settings of the training.
        device: Device of the network.

    Raises:
        DsxError: If the network is to be compiled and no compiler is available.
    """

    def __init__(self, network: nn.Module, settings: Train, device: torch.device) -> None:
        self.plain = network
        self.network = compiled(network, device) if settings.compile else network
        self.settings = settings
        self.device = device.type
        self.reduced = chosen_precision(settings.precision, device) == "bfloat16"

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Prepare the network for the forward passes within the context."""
        if self.reduced and self.device == "cpu":
            with narrow_in_float32(self.plain):
                yield
        else:
            yield

    def to_memory_layout(self, images: Tensor) -> Tensor:
        """Convert images to the memory layout of the settings.

        Args:
            images: Batch of images, (B, C, H, W).

        Returns:
            The images in the memory layout of the settings.
        """
        if not self.settings.channels_last:
            return images
        # Always copied, because images with one channel have both layouts, and torch would not
        # treat them as channels_last.
        return torch.empty_like(images, memory_format=torch.channels_last).copy_(images)

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Compute the mean loss of images.

        Args:
            images: Batch of images, (B, C, H, W).
            targets: Labels of the images with their weights.

        Returns:
            The cross entropy, ().
        """
        with torch.autocast(self.device, torch.bfloat16, enabled=self.reduced):
            logits = self.network(images)
        if self.reduced:
            logits = logits.float()
        smoothing = self.settings.label_smoothing
        losses = [
            weight * F.cross_entropy(logits, labels, label_smoothing=smoothing)
            for labels, weight in targets
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def compiled(network: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Compile a network, with shared parameters.

    Args:
        network: Network to compile.
        device: Device of the network.

    Returns:
        The compiled network.

    Raises:
        DsxError: If no C++ compiler is available.
    """
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise DsxError(f"train.compile: requires a C++ compiler, but {compiler} was not found")
    # torch keeps only a few compiled versions of a function, but each candidate is a new network.
    torch.compiler.reset()
    return torch.compile(network)
