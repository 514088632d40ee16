"""Checker: cross and saltire, in turn over the output channels."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import cross, saltire
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give cross, saltire: (2, K, K)."""
    return torch.cat([cross.supports(k), saltire.supports(k)])


SHAPE = Shape(supports=supports)
