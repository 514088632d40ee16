"""Antidiagonal: from the top right to the bottom left."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the other diagonal: (1, K, K)."""
    return torch.eye(k, dtype=torch.bool).flip(1)[None]


SHAPE = Shape(supports=supports)
