"""Fresh weights that give the output variance of the layer replaced."""

import torch
from torch import Tensor, nn


def mean_square(weight: Tensor) -> float:
    """Mean of the squared entries; 0 for an empty tensor."""
    return float(weight.detach().double().square().mean()) if weight.numel() else 0.0


def fill_like(weight: Tensor, bias: Tensor | None, like: nn.Conv2d, live: Tensor) -> None:
    """Fill weight and bias so that the output variance is that of the convolution replaced.

    Args:
        weight: Filled in place, (Cout, ...).
        bias: Filled in place, (Cout,) or None.
        like: The convolution replaced.
        live: Live weights of each output, (Cout,).
    """
    uniform_(weight, output_gain(like) / live.double().clamp_min(1))
    if bias is not None and like.bias is not None:
        uniform_(bias, mean_square(like.bias))


def output_gain(conv: nn.Conv2d) -> float:
    """Give the output variance of a convolution for inputs of variance one, its bias apart."""
    return mean_square(conv.weight) * conv.weight[0].numel()


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
