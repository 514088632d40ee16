"""Lines: the four lines through the middle, in turn over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import antidiagonal, column, diagonal, row
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give row, antidiagonal, column, diagonal: (4, K, K)."""
    turning = (row, antidiagonal, column, diagonal)
    return torch.cat([line.supports(k) for line in turning])


SHAPE = Shape(supports=supports)
