"""Cross: the middle row and the middle column."""

from torch import Tensor

from dsx.conv.sparsity.shapes import column, row
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Give row + column: (1, K, K)."""
    return row.supports(k) | column.supports(k)


SHAPE = Shape(supports=supports)
