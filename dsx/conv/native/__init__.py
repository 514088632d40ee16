"""Compiled kernels in C++."""

from dsx.conv.native.kernel import missing
from dsx.conv.native.library import Kernels, kernels, use

__all__ = ["Kernels", "kernels", "missing", "use"]
