"""Corners: the four corner squares of the kernel, cyclic over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the masks of the squares of side ceil(K/2) in the corners, clockwise.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (4, K, K) boolean.
    """
    side = (k + 1) // 2
    top_left = torch.zeros(k, k, dtype=torch.bool)
    top_left[:side, :side] = True
    return torch.stack([top_left, top_left.flip(1), top_left.flip(0, 1), top_left.flip(0)])


SHAPE = Shape(supports=supports)
