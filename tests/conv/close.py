"""Comparison of float64 tensors up to rounding."""

import torch
from torch import Tensor


def assert_equal(got: Tensor, expected: Tensor, message: str | None = None) -> None:
    """Check equality within 1e-10, the tolerance of design.md for float64."""
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10, msg=message)
