"""Corners: the four corner squares of the kernel, in turn over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give the ceil(K/2)-squares top-left, top-right, bottom-right, bottom-left: (4, K, K)."""
    side = (k + 1) // 2
    top_left = torch.zeros(k, k, dtype=torch.bool)
    top_left[:side, :side] = True
    return torch.stack([top_left, top_left.flip(1), top_left.flip(0, 1), top_left.flip(0)])


SHAPE = Shape(supports=supports)
