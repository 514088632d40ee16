"""Scores of the learned shapes that preserve most of the energy of a trained weight."""

from torch import Tensor
from torch.nn import functional as F

from dsx.conv.sparsity.rigid import rigid_shapes

HALVINGS = 60


def block_means(values: Tensor, block_in: int, block_out: int) -> Tensor:
    """Compute the mean over each block of channels that share a shape.

    Args:
        values: Tensor of the shape of a weight, (Cout, Cin, K, K).
        block_in: Number of input channels in a block; the last block may be smaller.
        block_out: Number of output channels in a block; the last block may be smaller.

    Returns:
        The means, (K, K, input blocks, output blocks).
    """
    # With ceil_mode, smaller blocks are divided by their actual size.
    means = F.avg_pool2d(values.permute(2, 3, 0, 1), (block_out, block_in), ceil_mode=True)
    return means.transpose(2, 3)


def free_scores(energy: Tensor, sizes: Tensor, density: float) -> Tensor:
    """Compute scores for which the positions with the most energy live, up to the density.

    Args:
        energy: Mean square of the weights at each position of a block,
            (K, K, input blocks, output blocks).
        sizes: Number of weights at one position of a block, (input blocks, output blocks).
        density: Target fraction of live weights.

    Returns:
        The scores, (K, K, input blocks, output blocks); live positions have positive scores.
    """
    levels, order = energy.flatten().sqrt().sort(descending=True, stable=True)
    counts = sizes.expand_as(energy).flatten()[order].cumsum(0)
    last = int((counts - density * counts[-1]).abs().argmin())
    below = levels[last + 1] if last + 1 < len(levels) else levels[last] * 0
    scores = levels - (levels[last] + below) / 2
    # Among positions of equal energy, the first ones live.
    scores[: last + 1].clamp_min_(1e-3 * float(levels[0]) or 1.0)
    return scores[order.argsort()].reshape(energy.shape)


def rigid_scores(energy: Tensor, sizes: Tensor, density: float) -> Tensor:
    """Compute scores of the rigid shapes by a Lagrangian trade-off of energy and size.

    Args:
        energy: Mean square of the weights at each position of a block,
            (3, 3, input blocks, output blocks).
        sizes: Number of weights at one position of a block, (input blocks, output blocks).
        density: Target fraction of live weights.

    Returns:
        The scores, (15, input blocks, output blocks).
    """
    shapes = rigid_shapes().flatten(1).to(energy)
    preserved = (shapes @ energy.flatten(0, 1).flatten(1)).reshape(-1, *sizes.shape)
    positions = shapes.sum(1)
    target = density * shapes.shape[1] * float(sizes.sum())

    def penalised(price: float) -> Tensor:
        return preserved - price * positions[:, None, None]

    def live_count(price: float) -> float:
        return float((positions[penalised(price).argmax(0)] * sizes).sum())

    # Bisect the price of a position for which the number of live weights is on target.
    low, high = 0.0, float(energy.max())
    for _ in range(HALVINGS):
        price = (low + high) / 2
        low, high = (price, high) if live_count(price) > target else (low, price)
    # Use the price whose count is closer to the target, unless no weight is live for it.
    too_high = not live_count(high) or live_count(low) - target < target - live_count(high)
    scores = penalised(low if too_high else high)
    # At these prices two shapes of a block are nearly tied: a margin protects against rounding.
    margin = scores.abs().max() / 64
    best = scores.argmax(0, keepdim=True)
    return scores.scatter_add(0, best, margin.expand(best.shape))
