"""Full: every position of the kernel, as in an ordinary convolution."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the whole square: (1, K, K)."""
    return torch.ones(1, k, k, dtype=torch.bool)


SHAPE = Shape(supports=supports)
