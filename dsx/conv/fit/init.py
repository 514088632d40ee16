"""Initialisation of weights that preserves the output variance of the replaced convolution."""

import torch
from torch import Tensor, nn


def mean_square(weight: Tensor) -> float:
    """Compute the mean of the squared entries of a tensor.

    Args:
        weight: Tensor of any shape.

    Returns:
        The mean; 0 for an empty tensor.
    """
    return float(weight.detach().double().square().mean()) if weight.numel() else 0.0


FRESH_DECISION, KEPT_DECISION = 0.1, 0.5
"""Bound of newly initialised proxy parameters and scores, whose decisions a few steps of an
optimiser can change; and root mean square of those that are projected from a trained weight, whose
decisions should persist at first."""


def fill_like(weight: Tensor, bias: Tensor | None, like: nn.Conv2d, live: Tensor) -> None:
    """Initialise weight and bias with the output variance of the replaced convolution, in place.

    Args:
        weight: Weight to initialise, (Cout, ...).
        bias: Bias to initialise, (Cout,), or None.
        like: Convolution that is replaced.
        live: Number of live weights of each output, (Cout,).
    """
    # An output whose initial shapes have no live weight runs dense in the warm-up.
    fan_in = torch.where(live > 0, live, weight[0].numel())
    uniform_(weight, output_gain(like) / fan_in.double())
    if bias is not None and like.bias is not None:
        uniform_(bias, mean_square(like.bias))


def output_gain(conv: nn.Conv2d) -> float:
    """Compute the output variance of a convolution for inputs of variance 1, without its bias.

    Args:
        conv: Convolution whose weight is read.

    Returns:
        The output variance.
    """
    return mean_square(conv.weight) * conv.weight[0].numel()


def uniform_(weight: Tensor, mean_squares: Tensor | float) -> None:
    """Fill a tensor with uniform random numbers of a given mean square, in place.

    Args:
        weight: Tensor to fill, (Cout, ...).
        mean_squares: Mean square of all entries, or of each output channel, (Cout,).
    """
    bound = (3 * torch.as_tensor(mean_squares, dtype=torch.float64)).sqrt()
    bound = bound.to(weight).reshape(-1, *(1,) * (weight.dim() - 1))
    with torch.no_grad():
        weight.uniform_(-1, 1).mul_(bound)


def fresh_decision_(proxy: Tensor) -> None:
    """Fill proxy parameters or scores for training from scratch, in place.

    Args:
        proxy: Parameters of which only the sign or the order matters.
    """
    uniform_(proxy, FRESH_DECISION**2 / 3)


def kept_decision_(proxy: Tensor, values: Tensor) -> None:
    """Fill proxy parameters or scores with decisions derived from a trained weight, in place.

    Args:
        proxy: Parameters of which only the sign or the order matters.
        values: Values with the sign or the order to adopt, of the same shape.
    """
    size = mean_square(values) ** 0.5
    with torch.no_grad():
        proxy.copy_(values * (KEPT_DECISION / size if size else 1))
