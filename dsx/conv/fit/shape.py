"""The learned shapes that keep most of a trained weight's energy, as scores."""

from torch import Tensor
from torch.nn import functional as F

from dsx.conv.sparsity.rigid import rigid_shapes

HALVINGS = 60


def block_means(values: Tensor, block_in: int, block_out: int) -> Tensor:
    """Average over the blocks of channels that share a shape.

    Args:
        values: (Cout, Cin, K, K).
        block_in: Input channels of a block.
        block_out: Output channels of a block; the last block of either may be cut.

    Returns:
        (K, K, input blocks, output blocks).
    """
    # Cut blocks are divided by what is in them.
    means = F.avg_pool2d(values.permute(2, 3, 0, 1), (block_out, block_in), ceil_mode=True)
    return means.transpose(2, 3)


def free_scores(energy: Tensor, sizes: Tensor, density: float) -> Tensor:
    """Score positions so that those with most energy live, as many as the density says.

    Args:
        energy: Mean square of the weights at each position of a block, (K, K, inputs, outputs).
        sizes: Weights at one position of a block, (inputs, outputs).
        density: Target share of live weights.

    Returns:
        Scores, (K, K, inputs, outputs); those that live are above 0.
    """
    levels, order = energy.flatten().sqrt().sort(descending=True, stable=True)
    counts = sizes.expand_as(energy).flatten()[order].cumsum(0)
    last = int((counts - density * counts[-1]).abs().argmin())
    below = levels[last + 1] if last + 1 < len(levels) else levels[last] * 0
    scores = levels - (levels[last] + below) / 2
    # Of positions that hold just as much, the first ones live.
    scores[: last + 1].clamp_min_(1e-3 * float(levels[0]) or 1.0)
    return scores[order.argsort()].reshape(energy.shape)


def rigid_scores(energy: Tensor, sizes: Tensor, density: float) -> Tensor:
    """Score shapes so that each block takes the one that is worth its size, as density says.

    Args:
        energy: Mean square of the weights at each position of a block, (3, 3, inputs, outputs).
        sizes: Weights at one position of a block, (inputs, outputs).
        density: Target share of live weights.

    Returns:
        Scores, (15, inputs, outputs).
    """
    shapes = rigid_shapes().flatten(1).to(energy)
    held = (shapes @ energy.flatten(0, 1).flatten(1)).reshape(-1, *sizes.shape)
    positions = shapes.sum(1)
    wanted = density * shapes.shape[1] * float(sizes.sum())

    def worth(price: float) -> Tensor:
        return held - price * positions[:, None, None]

    def taken(price: float) -> float:
        return float((positions[worth(price).argmax(0)] * sizes).sum())

    # The price of a position at which blocks would together take as many as they may.
    low, high = 0.0, float(energy.max())
    for _ in range(HALVINGS):
        price = (low + high) / 2
        low, high = (price, high) if taken(price) > wanted else (low, price)
    # Of the last two prices that which comes nearer, but never that of nothing at all.
    too_high = not taken(high) or taken(low) - wanted < wanted - taken(high)
    scores = worth(low if too_high else high)
    # At those prices two shapes of a block are worth the same: no rounding is to choose anew.
    ahead = scores.abs().max() / 64
    best = scores.argmax(0, keepdim=True)
    return scores.scatter_add(0, best, ahead.expand(best.shape))
