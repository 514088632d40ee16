"""Saltire: both diagonals."""

from torch import Tensor

from dsx.conv.sparsity.shapes import antidiagonal, diagonal
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the union of the masks of diagonal and antidiagonal.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    return diagonal.supports(k) | antidiagonal.supports(k)


SHAPE = Shape(supports=supports)
