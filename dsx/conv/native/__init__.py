"""Compiled kernels in C++."""

from dsx.conv.native.compiling import find_compiler
from dsx.conv.native.kernel import missing, versions
from dsx.conv.native.library import Kernels, buffer_bytes, kernels, release_buffers, use
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.native.runtime import EXPORTED_OPERATOR, library_name, runtime_files

__all__ = [
    "EXPORTED_OPERATOR",
    "BlockSparseConv2d",
    "Kernels",
    "buffer_bytes",
    "find_compiler",
    "kernels",
    "library_name",
    "missing",
    "release_buffers",
    "runtime_files",
    "use",
    "versions",
]
