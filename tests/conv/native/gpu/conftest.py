"""Triton computes in its interpreter where there is no GPU."""

import os

import torch

# Set before the first import of triton, which reads it when it is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
