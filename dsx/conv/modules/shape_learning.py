"""The schedule of learned shapes: enabling them bit by bit, their regulariser, freezing them."""

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
"""Part of a training after which all outputs are enabled."""
LEAST_DRAWS = 5
FLOPS_PART, DENSITY_PART = 0.01, 0.99
STRENGTH = 4.0
REMEMBERED = ("progress", "draw", "final", "first_losses")


class Shaping:
    """Takes the learned shapes of a network through its training.

    A network without learned shapes is left alone, so that one training loop serves all.

    Args:
        network: The network.
        sample: An input batch.
        epochs: Passes over the data.

    Source:
        Learnable Heterogeneous Convolution (LHC, arXiv 2301.05440): published as 20 of 100 epochs
        of warm-up, then 200 with fixed shapes; here as parts of the training (design.md, section
        3), so that 6 and 300 epochs both work.
    """

    def __init__(self, network: nn.Module, sample: Tensor, epochs: int) -> None:
        self.pixels = _output_pixels(network, sample)
        self.interval = min(1 / epochs, WARM_UP / LEAST_DRAWS)
        self.progress = 0.0
        self.draw: int | None = -1
        self.final = False
        self.first_losses: list[float] = []
        target = float(_target(self.pixels)) if self.pixels else 0.0
        self.largest = FLOPS_PART + DENSITY_PART * max(target, 1 - target)

    def advance(self, progress: float) -> None:
        """Enable or freeze what is due.

        Args:
            progress: Part of the training that is done, 0 to 1; at 1 all shapes are final.
        """
        self.progress = progress
        # Shapes that are final stay so, also where a longer training goes on with a shorter one.
        warming = progress < WARM_UP and not self.final
        draw = math.floor(progress / self.interval + 1e-9) if warming else None
        if draw != self.draw:
            for layer in self.pixels:
                layer.enable(torch.rand(layer.out_channels) < progress / WARM_UP)
        self.draw = draw
        # At the end once more: momentum may have moved weights that had just died.
        if progress >= 1 or (progress >= FROZEN_FROM and not self.final):
            self.final = True
            for layer in self.pixels:
                layer.freeze()

    def loss(self, task: Tensor) -> Tensor:
        """Add the regulariser to the task's loss.

        Args:
            task: Of the present batch, ().

        Returns:
            task + 4 min(1, t / 0.1) (L0 / M) R until the shapes are frozen, then the task's alone.
        """
        penalty = self.penalty(task)
        return task if penalty is None else task + penalty

    def penalty(self, task: Tensor) -> Tensor | None:
        """Give what the regulariser adds to the task's loss.

        Args:
            task: Of the present batch, (); only its size matters.

        Returns:
            4 min(1, t / 0.1) (L0 / M) R, (); None once the shapes are frozen.
        """
        if not self.pixels or self.final:
            return None
        if self.draw == 0 or not self.first_losses:
            self.first_losses.append(float(task.detach()))
        first = sum(self.first_losses) / len(self.first_losses)
        strength = STRENGTH * min(1.0, self.progress / WARM_UP) * first / self.largest
        return strength * regulariser(self.pixels)

    def state(self) -> dict[str, Any]:
        """Give where the schedule is, as plain values; the shapes themselves are the network's."""
        return {name: copy.copy(getattr(self, name)) for name in REMEMBERED}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the schedule of the same network was.

        Args:
            state: Of `state`.
        """
        for name in REMEMBERED:
            setattr(self, name, copy.copy(state[name]))


def decisions(network: nn.Module) -> dict[nn.Parameter, float]:
    """Give the decisions of a network, and when they are settled.

    Args:
        network: The network.

    Returns:
        The part of a training after which each is settled; 0 where a shape is frozen already.
    """
    return {
        decision: 0.0 if isinstance(module, LearnedConv2d) and module.frozen else end
        for module in network.modules()
        if isinstance(module, DsxConv)
        for decision, end in module.decisions().items()
    }


def regulariser(pixels: Mapping[LearnedConv2d, int]) -> Tensor:
    """Pull the learned convolutions of a network, all together, to their target density.

    Args:
        pixels: Output pixels of each learned convolution, for one image.

    Returns:
        R = 0.01 F + 0.99 |d_target - d|, (): F the live share of flops, d that of weights, and
        d_target the weight-averaged density of the specs; outputs not enabled are fully live.

    Source:
        Learnable Heterogeneous Convolution (arXiv 2301.05440).
    """
    live = torch.stack([layer.live() for layer in pixels])
    total = live.new_tensor([layer.total for layer in pixels])
    outputs = live.new_tensor(list(pixels.values()))
    # No matrix products: autocast would count in half precision. A layer that is never called has
    # no flops.
    share = (live * outputs).sum() / (total * outputs).sum().clamp_min(1)
    off = (_target(pixels) - live.sum() / total.sum()).abs()
    return FLOPS_PART * share + DENSITY_PART * off


def _target(pixels: Mapping[LearnedConv2d, int]) -> float:
    weighted = sum(layer.total * (layer.spec.density or 0) for layer in pixels)
    return weighted / sum(layer.total for layer in pixels)


def _output_pixels(network: nn.Module, sample: Tensor) -> dict[LearnedConv2d, int]:
    """Run once and count the output pixels of each learned convolution, over all its calls."""
    pixels = {m: 0 for m in network.modules() if isinstance(m, LearnedConv2d)}
    if not pixels:
        return {}

    def note(layer: nn.Module, args: object, out: Tensor) -> None:
        assert isinstance(layer, LearnedConv2d)
        pixels[layer] += out.shape[0] * out.shape[2] * out.shape[3] // len(sample)

    hooks = [layer.register_forward_hook(note) for layer in pixels]
    modes = {module: module.training for module in network.modules()}
    with torch.no_grad():
        set_mode(network, False)(sample)
    for module, training in modes.items():
        module.training = training
    for hook in hooks:
        hook.remove()
    return pixels
