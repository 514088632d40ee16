"""The same training by dsx, by a bare loop, and with a DataLoader."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from dsx.allocator import keep_freed_memory
from dsx.bench._blocks import Block
from dsx.data import TensorSplit
from dsx.data.digits import load
from dsx.nets.small_cnn import SmallCnn
from dsx.space.yaml import Train
from dsx.train import chosen_precision, train

MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4


@dataclass(frozen=True, kw_only=True)
class Work:
    """A training to be timed.

    Args:
        name: Name of the data.
        width: Width of the network, a `SmallCnn`.
        channels: Number of channels of an image.
        images: Number of images; None for the dataset `digits`.
        batch: Number of images of a training step.
        epochs: Number of epochs of one block.
        rounds: Number of blocks of each contender.
    """

    name: str
    width: int
    channels: int
    images: int | None
    batch: int
    epochs: int
    rounds: int

    @property
    def settings(self) -> Train:
        """Settings for the highest speed with the same training."""
        return Train(
            epochs=self.epochs,
            batch_size=self.batch,
            learning_rate=0.05,
            weight_decay=WEIGHT_DECAY,
            precision="auto",
            channels_last=True,
        )

    def network(self) -> SmallCnn:
        """Return the network with fixed initial weights."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return SmallCnn(self.width, self.channels)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return the images, (N, C, H, W), and their labels."""
        if self.images is None:
            split = load().train
            return next(split.batches(torch.arange(len(split)), len(split)))
        images = torch.randn(self.images, self.channels, 32, 32)
        return images, torch.arange(self.images) % 10


def prepare_dsx(work: Work) -> Block:
    """Prepare the training loop of dsx.

    Args:
        work: The training.

    Returns:
        A block that trains once and returns the number of images.
    """
    keep_freed_memory()
    network = work.network()
    images, labels = work.tensors()
    split = TensorSplit(images=images, labels=labels)
    done = len(split) // work.batch * work.batch * work.epochs

    def block() -> int:
        train(network, split, work.settings)
        return done

    return block


def prepare_bare_loop(work: Work) -> Block:
    """Prepare a bare loop over the same tensors with the same settings.

    Args:
        work: The training.

    Returns:
        A block that trains once and returns the number of images.
    """
    keep_freed_memory()
    network, (images, labels) = work.network(), work.tensors()
    steps = len(images) // work.batch
    reduced = chosen_precision("auto") == "bfloat16"

    def block() -> int:
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": WEIGHT_DECAY},
            {"params": others},
        ]
        sgd = SGD(groups, lr=0.05, momentum=MOMENTUM, nesterov=True, fused=True)
        schedule = OneCycleLR(sgd, 0.05, total_steps=steps * work.epochs, cycle_momentum=False)
        network.train()
        for _ in range(work.epochs):
            order, total = torch.randperm(len(images)), torch.zeros(())
            for step in range(steps):
                chosen = order[step * work.batch :][: work.batch]
                x = images[chosen]
                x = torch.empty_like(x, memory_format=torch.channels_last).copy_(x)
                with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                    logits = network(x)
                loss = F.cross_entropy(logits.float(), labels[chosen])
                sgd.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                sgd.step()
                schedule.step()
                total += loss.detach()
            assert bool(total.isfinite())
        return steps * work.batch * work.epochs

    return block


def prepare_data_loader(work: Work) -> Block:
    """Prepare a straightforward loop over a DataLoader with default settings in float32.

    Args:
        work: The training.

    Returns:
        A block that trains once and returns the number of images.
    """
    network, (images, labels) = work.network(), work.tensors()
    loader = DataLoader(TensorDataset(images, labels), work.batch, shuffle=True)

    def block() -> int:
        sgd = SGD(
            network.parameters(),
            lr=0.05,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            nesterov=True,
        )
        schedule = OneCycleLR(sgd, 0.05, total_steps=len(loader) * work.epochs)
        network.train()
        for _ in range(work.epochs):
            total = 0.0
            for x, y in loader:
                loss = F.cross_entropy(network(x), y)
                sgd.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                sgd.step()
                schedule.step()
                total += loss.item()
        return len(images) * work.epochs

    return block


CONTENDERS: dict[str, Callable[[Work], Block]] = {
    "dsx": prepare_dsx,
    "bare loop": prepare_bare_loop,
    "DataLoader": prepare_data_loader,
}
