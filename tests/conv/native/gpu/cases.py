"""Block-sparse convolutions on which the lists and kernels of GPUs are tested."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsx.conv.native.operators import TrainingPlans, training_plans
from dsx.conv.native.plan import Mask, Plan, make_plan
from dsx.conv.sparsity.geometry import Geometry

Masks = Callable[[np.random.Generator, tuple[int, ...]], Mask]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A block-sparse convolution.

    Args:
        geometry: Geometry of the convolution.
        live: Mask of the live weights, (Cout, Cin, KH, KW).
        hw: Height and width of the images.
    """

    geometry: Geometry
    live: Mask
    hw: tuple[int, int]

    def tensors(self, dtype: torch.dtype, images: int = 2) -> tuple[Tensor, Tensor, Tensor]:
        """Return random images, a random weight that is zero at dead positions, and a bias."""
        geometry = self.geometry
        x = torch.randn(images, geometry.in_channels, *self.hw, dtype=dtype)
        weight = torch.randn(self.live.shape, dtype=dtype) * torch.from_numpy(self.live)
        return x, weight, torch.randn(geometry.out_channels, dtype=dtype)

    @property
    def plan(self) -> Plan:
        """The plan of the convolution."""
        return make_plan(self.live, self.geometry)

    @property
    def training_plans(self) -> TrainingPlans:
        """The plans for training, where the stored weight is the dense one."""
        return training_plans(self.live, self.geometry, np.arange(self.live.size))


def case(
    outputs: int,
    inputs: int,
    hw: tuple[int, int],
    masks: Masks,
    *,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Case:
    """Return a case with a random mask that is the same in every run."""
    live = masks(np.random.default_rng(0), (outputs, inputs, *kernel))
    geometry = Geometry(
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        padding_mode="zeros",
    )
    return Case(geometry=geometry, live=live, hw=hw)


def sliding(width: int, step: int) -> Masks:
    """Return masks of windows of adjacent channels, with wrap-around."""

    def masks(rng: np.random.Generator, shape: tuple[int, ...]) -> Mask:
        live = np.zeros(shape, bool)
        for output in range(shape[0]):
            live[output, (output * step + np.arange(width)) % shape[1]] = True
        return live

    return masks


def some(density: float) -> Masks:
    """Return random masks."""
    return lambda rng, shape: rng.random(shape) < density


def with_dead(rng: np.random.Generator, shape: tuple[int, ...]) -> Mask:
    """Return a mask with dead channels, outputs and kernel positions."""
    live = some(0.5)(rng, shape)
    live[1::3], live[:, 2], live[:, :, 0] = False, False, False
    return live


CASES = {
    "pointwise": case(20, 40, (5, 7), some(0.4)),
    "sliding window": case(33, 24, (4, 4), sliding(6, 3)),
    "one weight": case(1, 1, (1, 1), some(1.0)),
    "dense": case(16, 32, (3, 5), some(1.0), kernel=(3, 3), padding=(1, 1, 1, 1)),
    "dead channels, outputs and positions": case(
        40, 20, (7, 9), with_dead, kernel=(3, 3), padding=(1, 1, 1, 1)
    ),
    "empty mask": case(9, 5, (4, 4), some(0.0), kernel=(3, 3), padding=(1, 1, 1, 1)),
    "uneven kernel, padding and dilation": case(
        9, 5, (8, 9), some(0.5), kernel=(2, 3), padding=(2, 0, -1, 3), dilation=(2, 1)
    ),
    "one live position": case(
        12, 10, (6, 6), lambda rng, shape: np.indices(shape)[2:].sum(0) == 0,
        kernel=(3, 3), padding=(1, 1, 1, 1),
    ),
}  # fmt: skip
"""Cases of stride 1."""

STRIDED = {
    "strided pointwise": case(20, 17, (6, 5), some(0.4), stride=(2, 1)),
    "strided": case(
        18, 9, (9, 8), some(0.3),
        kernel=(3, 2), stride=(2, 3), padding=(1, 0, 2, 1), dilation=(1, 2),
    ),
}  # fmt: skip
