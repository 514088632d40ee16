"""The training schedule of learned shapes: gradual enabling, regulariser and freezing."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.learned import FROZEN_FROM, LearnedConv2d
from dsx.conv.network_calls import set_mode

WARM_UP = 0.1
"""Fraction of training after which all outputs are enabled."""
MIN_PERIODS = 5
FLOPS_WEIGHT, DENSITY_WEIGHT = 0.01, 0.99
STRENGTH = 4.0
STATE_FIELDS = ("progress", "period", "final", "first_losses")


class ShapeSchedule:
    """The training schedule of the learned shapes of a network.

    It has no effect on a network without learned shapes.

    Args:
        network: Network to train.
        sample: Example input batch.
        epochs: Number of epochs.

    Source:
        Learnable Heterogeneous Convolution (LHC, arXiv 2301.05440), published with 20 of 100
        epochs of warm-up, then 200 epochs with fixed shapes. Here the schedule is defined by
        fractions of training (design.md, section 3), so that it also works for few epochs.
    """

    def __init__(self, network: nn.Module, sample: Tensor, epochs: int) -> None:
        self.pixels = _output_pixels(network, sample)
        self.interval = min(1 / epochs, WARM_UP / MIN_PERIODS)
        self.progress = 0.0
        self.period: int | None = -1
        self.final = False
        self.first_losses: list[float] = []
        target = float(_target(self.pixels)) if self.pixels else 0.0
        self.largest = FLOPS_WEIGHT + DENSITY_WEIGHT * max(target, 1 - target)

    def advance(self, progress: float) -> None:
        """Enable or freeze shapes according to the schedule.

        Args:
            progress: Completed fraction of training, 0 to 1; at 1 all shapes are final.
        """
        self.progress = progress
        # Final shapes remain final, even if a training with more epochs continues a shorter one.
        warming = progress < WARM_UP and not self.final
        period = math.floor(progress / self.interval + 1e-9) if warming else None
        if period != self.period:
            for layer in self.pixels:
                layer.enable(torch.rand(layer.out_channels) < progress / WARM_UP)
        self.period = period
        # Repeated at the end, because momentum may have changed dead weights.
        if progress >= 1 or (progress >= FROZEN_FROM and not self.final):
            self.final = True
            for layer in self.pixels:
                layer.freeze()

    def loss(self, task: Tensor) -> Tensor:
        """Add the regulariser to the task loss.

        Args:
            task: Task loss of the current batch, ().

        Returns:
            The loss task + 4 min(1, t / 0.1) (L0 / M) R, (); the task loss once the shapes are
            frozen.
        """
        penalty = self.penalty(task)
        return task if penalty is None else task + penalty

    def penalty(self, task: Tensor) -> Tensor | None:
        """Compute the regularisation term of the loss.

        Args:
            task: Task loss of the current batch, (), whose magnitude sets the strength.

        Returns:
            The term 4 min(1, t / 0.1) (L0 / M) R, (); None once the shapes are frozen.
        """
        if not self.pixels or self.final:
            return None
        if self.period == 0 or not self.first_losses:
            self.first_losses.append(float(task.detach()))
        first = sum(self.first_losses) / len(self.first_losses)
        strength = STRENGTH * min(1.0, self.progress / WARM_UP) * first / self.largest
        return strength * regulariser(self.pixels)

    def state(self) -> dict[str, Any]:
        """Return the state of the schedule as plain values; the network holds the shapes."""
        return {name: copy.copy(getattr(self, name)) for name in STATE_FIELDS}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the schedule of the same network.

        Args:
            state: Return value of `state`.
        """
        for name in STATE_FIELDS:
            setattr(self, name, copy.copy(state[name]))


def decisions(network: nn.Module) -> dict[nn.Parameter, float]:
    """Return the decision parameters of a network, and when their decisions become final.

    Args:
        network: Network with or without dsx convolutions.

    Returns:
        The fraction of training after which each parameter is final; 0 for frozen shapes.
    """
    return {
        decision: 0.0 if isinstance(module, LearnedConv2d) and module.frozen else end
        for module in network.modules()
        if isinstance(module, DsxConv)
        for decision, end in module.decisions().items()
    }


def regulariser(pixels: Mapping[LearnedConv2d, int]) -> Tensor:
    """Compute the regulariser that drives learned convolutions jointly to their target density.

    Args:
        pixels: Number of output pixels of each learned convolution for one image.

    Returns:
        R = 0.01 F + 0.99 |d_target - d|, (), where F and d are the live fractions of flops and of
        weights, and d_target is the mean density of the specs, weighted by the number of weights;
        outputs that are not enabled count as dense.

    Source:
        Learnable Heterogeneous Convolution (arXiv 2301.05440).
    """
    live = torch.stack([layer.live() for layer in pixels])
    total = live.new_tensor([layer.total for layer in pixels])
    outputs = live.new_tensor(list(pixels.values()))
    # Not a matrix product, which autocast would compute in half precision. A layer that is never
    # called has no flops.
    share = (live * outputs).sum() / (total * outputs).sum().clamp_min(1)
    off = (_target(pixels) - live.sum() / total.sum()).abs()
    return FLOPS_WEIGHT * share + DENSITY_WEIGHT * off


def _target(pixels: Mapping[LearnedConv2d, int]) -> float:
    weighted = sum(layer.total * (layer.spec.density or 0) for layer in pixels)
    return weighted / sum(layer.total for layer in pixels)


def _output_pixels(network: nn.Module, sample: Tensor) -> dict[LearnedConv2d, int]:
    """Run once and count the output pixels of each learned convolution over all its calls."""
    pixels = {m: 0 for m in network.modules() if isinstance(m, LearnedConv2d)}
    if not pixels:
        return {}

    def count(layer: nn.Module, args: object, out: Tensor) -> None:
        assert isinstance(layer, LearnedConv2d)
        pixels[layer] += out.shape[0] * out.shape[2] * out.shape[3] // len(sample)

    handles = [layer.register_forward_hook(count) for layer in pixels]
    modes = {module: module.training for module in network.modules()}
    with torch.no_grad():
        set_mode(network, False)(sample)
    for module, training in modes.items():
        module.training = training
    for handle in handles:
        handle.remove()
    return pixels
