"""Het<P>: full for every P-th input channel of a filter, point for the others (HetConv).

Source: Singh et al., HetConv, CVPR 2019 (arXiv 1903.04120): filter o is full for the channels c
with (c - o) mod P = 0, so that the full channels shift by one from each filter to the next.
"""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import full, point
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the masks of full and point.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (2, K, K) boolean.
    """
    return torch.cat([full.supports(k), point.supports(k)])


def which(outputs: Tensor, channels: Tensor, shapes: int, number: int) -> Tensor:
    """Assign support 0 (full) to channels with (c - o) mod P = 0, else 1 (point).

    Args:
        outputs: Indices of the output channels, (Cout, 1).
        channels: Input channel of each weight column, (Cout, gw).
        shapes: Number of supports, 2; not used.
        number: Number in the name of the shape, P.

    Returns:
        The index of the support of each weight column, (Cout, gw).
    """
    return ((channels - outputs) % number != 0).long()


SHAPE = Shape(supports=supports, which=which, numbered=True)
