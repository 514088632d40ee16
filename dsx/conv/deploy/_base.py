"""What a deployed form is."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dsx.conv.modules.base import DsxConv


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to compute a dsx convolution without dsx.

    Args:
        build: From a convolution to a module of plain torch parts that torch.fx can trace, with
            the same output for the same input; None where the form does not apply.
        native: Whether the module needs dsx's own kernels.
    """

    build: Callable[[DsxConv], nn.Module | None]
    native: bool = False
