"""Antidiagonal: the diagonal from the top right to the bottom left."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the mask of the antidiagonal.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    return torch.eye(k, dtype=torch.bool).flip(1)[None]


SHAPE = Shape(supports=supports)
