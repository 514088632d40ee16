"""Lines: the four lines through the centre, cyclic over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import antidiagonal, column, diagonal, row
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the masks of row, antidiagonal, column and diagonal.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (4, K, K) boolean.
    """
    shapes = (row, antidiagonal, column, diagonal)
    return torch.cat([shape.supports(k) for shape in shapes])


SHAPE = Shape(supports=supports)
