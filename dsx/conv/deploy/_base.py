"""The interface of deployed forms."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dsx.conv.modules.base import DsxConv


@dataclass(frozen=True, kw_only=True)
class Form:
    """A deployed form: an equivalent implementation of a dsx convolution without dsx modules.

    Args:
        build: Function from a convolution to a module with the same output, which consists of
            modules and functions of torch and can be traced by torch.fx; None if the form does
            not apply to the convolution.
        native: Whether the module requires native kernels of dsx.
    """

    build: Callable[[DsxConv], nn.Module | None]
    native: bool = False
