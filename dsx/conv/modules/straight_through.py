"""Straight-through gradients: forward takes a hard decision, backward goes through a soft one."""

import torch
from torch import Tensor


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Take the value of one tensor and the gradient of another.

    Args:
        hard: What the forward pass uses.
        soft: Finite, of the same shape; what the gradient passes through.

    Returns:
        `hard`, to the bit, with the gradient of `soft`.
    """
    return hard.detach() + (soft - soft.detach())


def signs(proxy: Tensor) -> Tensor:
    """Binarise to +1 and -1, with sign(0) = +1.

    Args:
        proxy: Real numbers.

    Returns:
        +1 and -1; the gradient passes where |proxy| <= 1 and is zero elsewhere.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778); the clipped straight-through
        estimator of Hubara et al., Binarized Neural Networks (arXiv 1602.02830).
    """
    hard = torch.where(proxy >= 0, 1.0, -1.0).to(proxy.dtype)
    return straight_through(hard, proxy.clamp(-1, 1))


def one_hot(proxy: Tensor) -> Tensor:
    """Choose the largest entry of the last dimension, the first on ties.

    Args:
        proxy: Real numbers.

    Returns:
        1 at the chosen entry, 0 elsewhere; the gradient reaches every entry of the proxy.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778).
    """
    hard = torch.zeros_like(proxy).scatter(-1, proxy.argmax(-1, keepdim=True), 1.0)
    return straight_through(hard, proxy)


def surrogate(score: Tensor, distance: Tensor) -> Tensor:
    """Stand in for a shape score in the backward pass.

    Args:
        score: Shape scores.
        distance: Of each score from where the decision turns.

    Returns:
        A tensor whose gradient with respect to the score is 1 where |distance| < 1, else 0.1.

    Source:
        Learnable Heterogeneous Convolution (arXiv 2301.05440).
    """
    return torch.where(distance.detach().abs() < 1, score, 0.1 * score)
