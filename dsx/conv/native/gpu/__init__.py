"""Block-sparse convolutions on NVIDIA GPUs, by kernels in Triton."""

from dsx.conv.native.gpu.launch import versions
from dsx.conv.native.gpu.operators import missing

__all__ = ["missing", "versions"]
