"""Straight-through gradients: a hard decision in the forward pass, a soft one in the backward."""

import torch
from torch import Tensor


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Combine the value of one tensor with the gradient of another.

    Args:
        hard: Tensor with the value of the forward pass.
        soft: Finite tensor of the same shape, through which the gradient is propagated.

    Returns:
        A tensor that is bitwise equal to `hard`, with the gradient of `soft`.
    """
    return hard.detach() + (soft - soft.detach())


def signs(proxy: Tensor) -> Tensor:
    """Binarise a tensor to +1 and -1, with sign(0) = +1.

    Args:
        proxy: Proxy parameter of any shape.

    Returns:
        The signs; the gradient passes where |proxy| <= 1 and is zero elsewhere.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778); the clipped straight-through
        estimator of Hubara et al., Binarized Neural Networks (arXiv 1602.02830).
    """
    hard = torch.where(proxy >= 0, 1.0, -1.0).to(proxy.dtype)
    return straight_through(hard, proxy.clamp(-1, 1))


def one_hot(proxy: Tensor) -> Tensor:
    """Select the largest entry along the last dimension, the first one if several are equal.

    Args:
        proxy: Proxy parameter, (..., n).

    Returns:
        1 at the selected entry, 0 elsewhere; the gradient reaches every entry of the proxy.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778).
    """
    hard = torch.zeros_like(proxy).scatter(-1, proxy.argmax(-1, keepdim=True), 1.0)
    return straight_through(hard, proxy)


def surrogate(score: Tensor, distance: Tensor) -> Tensor:
    """Return the surrogate of a shape score for the backward pass.

    Args:
        score: Shape scores.
        distance: Distance of each score from the threshold of the decision.

    Returns:
        A tensor whose gradient with respect to the score is 1 where |distance| < 1, else 0.1.

    Source:
        Learnable Heterogeneous Convolution (arXiv 2301.05440).
    """
    return torch.where(distance.detach().abs() < 1, score, 0.1 * score)
