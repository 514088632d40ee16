"""The learned shapes that keep most of a trained weight's energy, as scores."""

from torch import Tensor
from torch.nn import functional as F

from dsx.conv.rigid import rigid_shapes

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
    levels, order = energy.flatten().sqrt().sort(descending=True)
    counts = sizes.expand_as(energy).flatten()[order].cumsum(0)
    kept = int((counts - density * counts[-1]).abs().argmin())
    below = levels[kept + 1] if kept + 1 < len(levels) else levels[kept] * 0
    return energy.sqrt() - (levels[kept] + below) / 2


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
    # The price of a position at which blocks would together take as many as they may.
    low, high = 0.0, float(energy.max())
    for _ in range(HALVINGS):
        price = (low + high) / 2
        taken = positions[(held - price * positions[:, None, None]).argmax(0)]
        low, high = (price, high) if float((taken * sizes).sum()) > wanted else (low, price)
    return held - high * positions[:, None, None]
