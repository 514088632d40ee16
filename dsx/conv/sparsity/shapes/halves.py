"""Halves: the four half kernels with the middle line, cyclic over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the masks of the ceil(K/2) rows or columns at the top, right, bottom and left.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (4, K, K) boolean.
    """
    top = torch.zeros(k, k, dtype=torch.bool)
    top[: (k + 1) // 2] = True
    return torch.stack([top, top.T.flip(1), top.flip(0), top.T])


SHAPE = Shape(supports=supports)
