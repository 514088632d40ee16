"""Train a network: one loop for every candidate."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.data import Split
from dsx.errors import TrialFailed
from dsx.space.schema import Train

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
PREDICT_BATCH = 512


def train(network: nn.Module, split: Split, settings: Train) -> list[float]:
    """Train a classifier in place: SGD with Nesterov momentum, one learning-rate cycle.

    Args:
        network: From images (B, C, H, W) to logits (B, classes).
        split: What to train on, on the network's device.
        settings: Epochs, batch size, peak learning rate, seed.

    Returns:
        The mean loss of each epoch.

    Raises:
        TrialFailed: If the loss is no longer a finite number.
    """
    batch = min(settings.batch_size, len(split))
    steps = len(split) // batch
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=WEIGHT_DECAY,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * steps
    )
    losses = []
    network.train()
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        for epoch in range(settings.epochs):
            # The rest that does not fill a batch differs from epoch to epoch.
            order = torch.randperm(len(split))[: steps * batch].reshape(steps, batch)
            total = 0.0
            for chosen in order:
                total += _step(network, optimizer, split.images[chosen], split.labels[chosen])
                schedule.step()
            losses.append(total / steps)
            if not math.isfinite(total):
                raise TrialFailed(f"training diverged: the loss is {total} in epoch {epoch + 1}")
    network.eval()
    return losses


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> float:
    loss = F.cross_entropy(network(images), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Classify images.

    Args:
        network: In eval mode.
        images: (N, C, H, W).

    Returns:
        The class with the largest logit, (N,).
    """
    parts = [
        images[start : start + PREDICT_BATCH] for start in range(0, len(images), PREDICT_BATCH)
    ]
    with torch.inference_mode():
        return torch.cat([network(part).argmax(1) for part in parts])
