"""Block-sparse convolutions on NVIDIA GPUs, by kernels in Triton."""
