"""The optimisers of a training: one for weights, and one for decision parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from dsx.conv.modules import decisions
from dsx.space.yaml import Train
from dsx.train.schedule import SCHEDULES, linear_decay

DECISION_RATE, DECISION_BETAS = 0.02, (0.9, 0.99)
FUSED_ON = ("cpu", "cuda")


class Optimizers:
    """The optimisers of all parameters of a network, with their schedules.

    The magnitude of the gradient of a decision parameter is not meaningful: a BN behind a channel
    without live weights divides by almost zero. Adam therefore follows only its direction, with a
    learning rate that reaches zero when the decision becomes final. Neither weight decay nor
    clipping applies to decision parameters.

    Args:
        network: Network to train; its decision parameters, and when they become final, are
            determined once.
        settings: Settings of the training.
        steps: Number of steps of the whole training.
    """

    def __init__(self, network: nn.Module, settings: Train, steps: int) -> None:
        self.settings = settings
        self.steps = steps
        ends = decisions(network)
        self.ends = list(ends.values())
        self.parameters = list(network.parameters())
        self.weights = [p for p in self.parameters if p not in ends]
        self.optimizer = _weight_optimizer(self.weights, settings)
        self.decision_optimizer: Adam | None = None
        if ends:
            groups = [{"params": [decision]} for decision in ends]
            self.decision_optimizer = Adam(groups, lr=DECISION_RATE, betas=DECISION_BETAS)

    @property
    def all(self) -> list[Optimizer]:
        """All optimisers in use."""
        return (
            [self.optimizer]
            if self.decision_optimizer is None
            else [self.optimizer, self.decision_optimizer]
        )

    def zero_gradients(self) -> None:
        """Clear all gradients, as `nn.Module.zero_grad` does, without searching the parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, step: int) -> None:
        """Update the parameters with their gradients.

        Args:
            step: Index of the step in the whole training, starting from 0.
        """
        settings = self.settings
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, settings.clip)
        factor = SCHEDULES[settings.schedule](step, self.steps, settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        if self.decision_optimizer is not None:
            for group, end in zip(self.decision_optimizer.param_groups, self.ends, strict=True):
                group["lr"] = DECISION_RATE * linear_decay(step, self.steps, end)
        for optimizer in self.all:
            optimizer.step()

    def state(self) -> list[dict[str, Any]]:
        """Return the states of the optimisers as plain values and tensors."""
        return [optimizer.state_dict() for optimizer in self.all]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Restore the states of optimisers of the same network.

        Args:
            state: Return value of `state`.
        """
        for optimizer, optimizer_state in zip(self.all, state, strict=True):
            optimizer.load_state_dict(dict(optimizer_state))


def _weight_optimizer(weights: Sequence[nn.Parameter], settings: Train) -> Optimizer:
    """Build SGD or AdamW; weight decay excludes biases and factors and shifts of channels."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in FUSED_ON for p in weights)
    rate, momentum = settings.learning_rate, settings.momentum
    if momentum is None:
        return AdamW(groups, lr=rate, fused=fused)
    return SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=fused)
