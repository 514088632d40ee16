"""Setting of Triton: without a GPU, it uses its interpreter."""

import os

import torch

# Set before the first import of triton, which reads it when it is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
