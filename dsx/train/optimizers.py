"""The optimisers of a training: one for weights, and one for what is decided by sign or order."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from dsx.conv.modules import decisions
from dsx.space.yaml import Train
from dsx.train.schedule import SCHEDULES, falling

DECISION_RATE, DECISION_BETAS = 0.02, (0.9, 0.99)
FUSED_ON = ("cpu", "cuda")


class Optimizers:
    """Moves the parameters of a network, step by step through its training.

    The gradient of a decision has no size that means anything (the channel that a decision kills
    has a BN behind it that divides by nothing), so that only its direction is followed, by Adam, in
    steps that end when the decision is settled. Neither weight decay nor clipping is for decisions.

    Args:
        network: The network; its decisions, and which of them are settled, are looked up once.
        settings: Of the training.
        steps: Of the whole training.
    """

    def __init__(self, network: nn.Module, settings: Train, steps: int) -> None:
        self.settings = settings
        self.steps = steps
        ends = decisions(network)
        self.ends = list(ends.values())
        self.parameters = list(network.parameters())
        self.weights = [p for p in self.parameters if p not in ends]
        self.optimizer = _weight_optimizer(self.weights, settings)
        self.deciding: Adam | None = None
        if ends:
            groups = [{"params": [decision]} for decision in ends]
            self.deciding = Adam(groups, lr=DECISION_RATE, betas=DECISION_BETAS)

    @property
    def all(self) -> list[Optimizer]:
        """Both, or the one there is."""
        return [self.optimizer] if self.deciding is None else [self.optimizer, self.deciding]

    def forget_gradients(self) -> None:
        """Begin a step; what nn.Module.zero_grad does, without looking for the parameters anew."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, step: int) -> None:
        """Move the parameters along their gradients.

        Args:
            step: Of the whole training, from 0.
        """
        settings = self.settings
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, settings.clip)
        part = SCHEDULES[settings.schedule](step, self.steps, settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * part
        if self.deciding is not None:
            for group, end in zip(self.deciding.param_groups, self.ends, strict=True):
                group["lr"] = DECISION_RATE * falling(step, self.steps, end)
        for optimizer in self.all:
            optimizer.step()

    def state(self) -> list[dict[str, Any]]:
        """Give what the optimisers remember, as plain values and tensors."""
        return [optimizer.state_dict() for optimizer in self.all]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Take over what optimisers of the same network remembered.

        Args:
            state: Of `state`.
        """
        for optimizer, own in zip(self.all, state, strict=True):
            optimizer.load_state_dict(dict(own))


def _weight_optimizer(weights: Sequence[nn.Parameter], settings: Train) -> Optimizer:
    """Give SGD or AdamW; biases, and what scales and shifts a channel, do not decay."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in FUSED_ON for p in weights)
    rate, momentum = settings.learning_rate, settings.momentum
    if momentum is None:
        return AdamW(groups, lr=rate, fused=fused)
    return SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=fused)
