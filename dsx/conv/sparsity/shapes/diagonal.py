"""Diagonal: from the top left to the bottom right."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the main diagonal: (1, K, K)."""
    return torch.eye(k, dtype=torch.bool)[None]


SHAPE = Shape(supports=supports)
