"""Point: the middle position only, a 1 x 1 convolution."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the middle position: (1, K, K)."""
    support = torch.zeros(1, k, k, dtype=torch.bool)
    support[0, k // 2, k // 2] = True
    return support


SHAPE = Shape(supports=supports)
