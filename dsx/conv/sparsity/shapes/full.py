"""Full: every position of the kernel, as in an ordinary convolution."""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the mask of the whole kernel.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    return torch.ones(1, k, k, dtype=torch.bool)


SHAPE = Shape(supports=supports)
