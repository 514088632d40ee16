"""Training of a layer with learned shapes that imitates a layer with known shapes.

The figures of learned shapes and of their schedule show this training.
"""

import functools
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv import ShapeSchedule, build, preset, regulariser
from dsx.conv.modules.learned import FROZEN_FROM, LearnedConv2d
from dsx.conv.sparsity.shapes import Shape
from dsx.lookup import find
from dsx.space.yaml.schema import Train
from dsx.train import DECISION_BETAS, DECISION_RATE

STEPS = 400
KNOWN = (("cross", "row"), ("column", "saltire"))
"""Shape of each block of input and output channels."""
BLOCK_IN, BLOCK_OUT = 4, 8


@dataclass(frozen=True, kw_only=True)
class Training:
    """Record of the training, with one value per step.

    Args:
        known: Shapes of the imitated layer, (3, 3, input blocks, output blocks) boolean.
        layer: Trained layer.
        shaping: Schedule of the learned shapes.
        progress: Completed fraction of the training.
        enabled: Fraction of output channels whose shapes are enabled.
        live: Fraction of live weights.
        strength: Strength of the regulariser, in units of L0 / M.
    """

    known: Tensor
    layer: LearnedConv2d
    shaping: ShapeSchedule
    progress: list[float] = field(default_factory=list)
    enabled: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    strength: list[float] = field(default_factory=list)

    def record(self, penalty: float) -> None:
        """Append the state of the schedule.

        Args:
            penalty: Contribution of the regulariser to the loss.
        """
        first = sum(self.shaping.first_losses) / len(self.shaping.first_losses)
        size = float(regulariser(self.shaping.pixels).detach()) / self.shaping.largest
        self.progress.append(self.shaping.progress)
        self.enabled.append(float(self.layer.enabled.double().mean()))
        self.live.append(float(self.layer.live().detach()) / self.layer.total)
        self.strength.append(penalty / (first * size))


@functools.cache
def imitate() -> Training:
    """Train a layer of 8 to 16 channels in 2 x 2 blocks: weights by SGD, scores by Adam.

    Returns:
        Record of the training.
    """
    shapes = [[find(Shape, word).supports(3)[0] for word in words] for words in KNOWN]
    known = torch.stack([torch.stack(own, -1) for own in shapes], -2)
    alive = known.permute(3, 2, 0, 1).repeat_interleave(BLOCK_OUT, 0).repeat_interleave(BLOCK_IN, 1)
    density = float(alive.double().mean())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        target = alive * torch.randn(alive.shape, dtype=torch.float64)
        slot = nn.Conv2d(8, 16, 3, padding=1, bias=False, dtype=torch.float64)
        spec = preset("lhc", density=density, block_in=BLOCK_IN, block_out=BLOCK_OUT)
        layer = build(spec, slot)
        assert isinstance(layer, LearnedConv2d)
        shaping = ShapeSchedule(layer, torch.zeros(1, 8, 6, 6, dtype=torch.float64), epochs=10)
        training = Training(known=known, layer=layer, shaping=shaping)
        momentum = Train().momentum or 0.0
        sgd = torch.optim.SGD([layer.weight], lr=0.3, momentum=momentum, nesterov=True)
        adam = torch.optim.Adam(layer.decisions(), lr=DECISION_RATE, betas=DECISION_BETAS)
        for step in range(STEPS):
            shaping.advance(step / STEPS)
            adam.param_groups[0]["lr"] = DECISION_RATE * max(0.0, 1 - step / STEPS / FROZEN_FROM)
            images = torch.randn(16, 8, 6, 6, dtype=torch.float64)
            task = F.mse_loss(layer(images), F.conv2d(images, target, padding=1))
            loss = shaping.loss(task)
            training.record(float((loss - task).detach()))
            layer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            sgd.step()
            adam.step()
        shaping.advance(1.0)
    return training
