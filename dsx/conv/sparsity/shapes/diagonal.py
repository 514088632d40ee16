"""Diagonal: the diagonal from the top left to the bottom right."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the mask of the main diagonal.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    return torch.eye(k, dtype=torch.bool)[None]


SHAPE = Shape(supports=supports)
