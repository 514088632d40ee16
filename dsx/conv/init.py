"""Fresh weights that give the output variance of the layer replaced."""

import torch
from torch import Tensor


def mean_square(weight: Tensor) -> float:
    """Mean of the squared entries; 0 for an empty tensor."""
    return float(weight.detach().double().square().mean()) if weight.numel() else 0.0


def uniform_(weight: Tensor, mean_squares: Tensor | float) -> None:
    """Fill with uniform numbers of a given mean square.

    Args:
        weight: Filled in place, (Cout, ...).
        mean_squares: For all entries, or per output channel (Cout,).
    """
    bound = (3 * torch.as_tensor(mean_squares, dtype=torch.float64)).sqrt()
    bound = bound.to(weight).reshape(-1, *(1,) * (weight.dim() - 1))
    with torch.no_grad():
        weight.uniform_(-1, 1).mul_(bound)
