"""Equal to what float64 leaves of an exact equality."""

import torch
from torch import Tensor


def assert_equal(got: Tensor, expected: Tensor, says: str | None = None) -> None:
    """Compare within 1e-10, the tolerance of design.md for float64."""
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10, msg=says)
