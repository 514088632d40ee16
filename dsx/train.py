"""Train a network: one loop for every candidate."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from dsx.conv import DsxConv, Shaping
from dsx.data import Split
from dsx.errors import TrialFailed
from dsx.space.schema import Train

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
DECISION_RATE, DECISION_BETAS = 0.02, (0.9, 0.99)
PREDICT_BATCH = 512


def train(network: nn.Module, split: Split, settings: Train) -> list[float]:
    """Train a classifier in place: SGD with Nesterov momentum, one learning-rate cycle.

    Args:
        network: From images (B, C, H, W) to logits (B, classes).
        split: What to train on, on the network's device.
        settings: Epochs, batch size, peak learning rate, seed.

    Returns:
        The mean loss of each epoch, that of the task alone.

    Raises:
        TrialFailed: If the loss is no longer a finite number.
    """
    batch = min(settings.batch_size, len(split))
    steps = len(split) // batch
    optimizers = _optimizers(network, settings.learning_rate, settings.epochs * steps)
    losses = []
    network.train()
    sample, _ = next(split.batches(torch.arange(1), 1))
    shaping = Shaping(network, sample, settings.epochs)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        for epoch in range(settings.epochs):
            # The rest that does not fill a batch differs from epoch to epoch.
            order = torch.randperm(len(split))[: steps * batch]
            total = 0.0
            for step, (images, labels) in enumerate(split.batches(order, batch)):
                shaping.advance((epoch + step / steps) / settings.epochs)
                task = F.cross_entropy(network(images), labels)
                network.zero_grad(set_to_none=True)
                shaping.loss(task).backward()  # type: ignore[no-untyped-call]
                for optimizer, schedule in optimizers:
                    optimizer.step()
                    schedule.step()
                total += float(task.detach())
            losses.append(total / steps)
            if not math.isfinite(total):
                raise TrialFailed(f"training diverged: the loss is {total} in epoch {epoch + 1}")
    shaping.advance(1.0)
    network.eval()
    return losses


def _optimizers(
    network: nn.Module, learning_rate: float, steps: int
) -> list[tuple[torch.optim.Optimizer, LRScheduler]]:
    """Give SGD for weights, and Adam for what is decided by sign or order.

    The gradient of a decision has no size that means anything (the channel that a decision kills
    has a BN behind it that divides by nothing), so that only its direction is followed, in steps
    that end when the decision is settled.
    """
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    ends = {decision: end for conv in convs for decision, end in conv.decisions().items()}
    weights = [p for p in network.parameters() if p not in ends]
    sgd = torch.optim.SGD(
        weights, lr=learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    found: list[tuple[torch.optim.Optimizer, LRScheduler]] = [
        (sgd, OneCycleLR(sgd, learning_rate, total_steps=steps))
    ]
    if ends:
        groups = [{"params": [decision]} for decision in ends]
        adam = torch.optim.Adam(groups, lr=DECISION_RATE, betas=DECISION_BETAS)
        falling: list[Callable[[int], float]] = [
            functools.partial(_falling, end * steps) for end in ends.values()
        ]
        found.append((adam, LambdaLR(adam, falling)))
    return found


def _falling(end: float, step: int) -> float:
    return max(0.0, 1 - step / end)


def predict(network: nn.Module, split: Split, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classify images.

    Args:
        network: In eval mode.
        split: The images.
        dtype: What the network takes them in.

    Returns:
        The class with the largest logit, (N,).
    """
    with torch.inference_mode():
        parts = split.batches(torch.arange(len(split)), PREDICT_BATCH)
        return torch.cat([network(images.to(dtype)).argmax(1) for images, _ in parts])
