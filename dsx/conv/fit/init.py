"""Fresh weights that give the output variance of the layer replaced."""

import torch
from torch import Tensor, nn


def mean_square(weight: Tensor) -> float:
    """Mean of the squared entries; 0 for an empty tensor."""
    return float(weight.detach().double().square().mean()) if weight.numel() else 0.0


FRESH_DECISION, KEPT_DECISION = 0.1, 0.5
"""Bound of fresh proxies and scores: a few steps of an optimiser away from changing a decision;
and the root mean square of those that stand for a trained weight, which are not to change soon."""


def fill_like(weight: Tensor, bias: Tensor | None, like: nn.Conv2d, live: Tensor) -> None:
    """Fill weight and bias so that the output variance is that of the convolution replaced.

    Args:
        weight: Filled in place, (Cout, ...).
        bias: Filled in place, (Cout,) or None.
        like: The convolution replaced.
        live: Live weights of each output, (Cout,).
    """
    # An output that fresh shapes leave without any can only run dense, early in a training.
    fan_in = torch.where(live > 0, live, weight[0].numel())
    uniform_(weight, output_gain(like) / fan_in.double())
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


def fresh_decision_(proxy: Tensor) -> None:
    """Fill proxies or scores, of which only sign or order counts, for a training from scratch."""
    uniform_(proxy, FRESH_DECISION**2 / 3)


def kept_decision_(proxy: Tensor, values: Tensor) -> None:
    """Fill proxies or scores with the decisions that a trained weight suggests.

    Args:
        proxy: Filled in place.
        values: Of which only sign or order counts, of the same shape.
    """
    size = mean_square(values) ** 0.5
    with torch.no_grad():
        proxy.copy_(values * (KEPT_DECISION / size if size else 1))
