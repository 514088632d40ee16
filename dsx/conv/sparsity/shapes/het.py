"""Het<P>: full for every P-th input channel of a filter, point for the others (HetConv).

Source: Singh et al., HetConv, CVPR 2019 (arXiv 1903.04120): filter o is full where
(c - o) mod P = 0, so that the full channels shift from one filter to the next.
"""

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import full, point
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give full, point: (2, K, K)."""
    return torch.cat([full.supports(k), point.supports(k)])


def which(outputs: Tensor, channels: Tensor, shapes: int, number: int) -> Tensor:
    """Give 0 (full) where (c - o) mod P = 0, else 1 (point).

    Args:
        outputs: Output channel numbers, (Cout, 1).
        channels: Input channel numbers, (Cout, gw).
        shapes: 2, the number of supports.
        number: P.

    Returns:
        Index of the support of each weight column, (Cout, gw).
    """
    return ((channels - outputs) % number != 0).long()


SHAPE = Shape(supports=supports, which=which, numbered=True)
