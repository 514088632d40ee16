"""Checker: cross and saltire, cyclic over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import cross, saltire
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the masks of cross and saltire.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (2, K, K) boolean.
    """
    return torch.cat([cross.supports(k), saltire.supports(k)])


SHAPE = Shape(supports=supports)
