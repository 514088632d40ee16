"""Cross: the middle row and the middle column."""

from torch import Tensor

from dsx.conv.sparsity.shapes import column, row
from dsx.conv.sparsity.shapes._base import Shape


def supports(k: int) -> Tensor:
    """Return the union of the masks of row and column.

    Args:
        k: Side of the kernel, odd.

    Returns:
        The supports, (1, K, K) boolean.
    """
    return row.supports(k) | column.supports(k)


SHAPE = Shape(supports=supports)
