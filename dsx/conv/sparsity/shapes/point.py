"""Point: the centre position only, as in a 1 x 1 convolution."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the mask of the centre position.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    support = torch.zeros(1, k, k, dtype=torch.bool)
    support[0, k // 2, k // 2] = True
    return support


SHAPE = Shape(supports=supports)
