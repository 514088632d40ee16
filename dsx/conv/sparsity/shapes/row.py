"""Row: the middle row of the kernel."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the middle row: (1, K, K)."""
    support = torch.zeros(1, k, k, dtype=torch.bool)
    support[0, k // 2, :] = True
    return support


SHAPE = Shape(supports=supports)
