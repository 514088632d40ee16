"""Column: the middle column of the kernel."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the support of the middle column.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    support = torch.zeros(1, k, k, dtype=torch.bool)
    support[0, :, k // 2] = True
    return support


SHAPE = Shape(supports=supports)
