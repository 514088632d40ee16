"""Compiled kernels in C++."""

from dsx.conv.native.kernel import missing
from dsx.conv.native.library import Kernels, buffer_bytes, kernels, release_buffers, use

__all__ = ["Kernels", "buffer_bytes", "kernels", "missing", "release_buffers", "use"]
