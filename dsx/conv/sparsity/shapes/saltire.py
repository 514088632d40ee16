"""Saltire: both diagonals."""

from torch import Tensor

from dsx.conv.sparsity.shapes import antidiagonal, diagonal
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give diagonal + antidiagonal: (1, K, K)."""
    return diagonal.supports(k) | antidiagonal.supports(k)


SHAPE = Shape(supports=supports)
