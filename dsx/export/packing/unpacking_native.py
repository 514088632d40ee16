"""Functions that unpack the stored tensors of a network into those of its native forms.

They are a part of model.py, as those of `dsx.export.packing.unpacking`.
"""

import torch

from dsx.export.packing.unpacking import maps_merge, spread


def block_sparse(weight: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
    """Pack a weight for the kernel of block-sparse convolutions.

    Args:
        weight: The dense weight, (Cout, Cin, K, K).
        plan: Table of the plan, (n,) int32; kernels/source/interface.h describes its lists.

    Returns:
        The packed weight, (m,): for each entry of a list the weights of 8, 4 or 2 outputs.
    """
    taps, (columns, blocks, entries) = int(plan[3] * plan[4]), plan[13:16].tolist()
    sizes = [17, blocks * 8, blocks * 7, columns, taps + 1, entries]
    _, rows, counts, channel, starts, entry = torch.split(plan.long(), sizes)
    tap = torch.searchsorted(starts, torch.arange(columns), right=True) - 1
    # A row of zeros for the outputs that a block lacks, which have the number -1.
    by_column = torch.cat([weight.flatten(2)[:, channel, tap], weight.new_zeros(1, columns)])
    segment = torch.arange(blocks * 7).repeat_interleave(counts)
    width = torch.tensor([8, 4, 4, 2, 2, 2, 2])[segment % 7]
    first = segment // 7 * 8 + torch.tensor([0, 0, 4, 0, 2, 4, 6])[segment % 7]
    begin = (width.cumsum(0) - width).repeat_interleave(width)
    row = rows[first.repeat_interleave(width) + torch.arange(len(begin)) - begin]
    return by_column[row, entry.repeat_interleave(width)]


def block_sparse_maps(
    basis: torch.Tensor,
    chosen: torch.Tensor,
    channels: torch.Tensor,
    shapes: torch.Tensor,
    which: torch.Tensor,
    inputs: int,
    plan: torch.Tensor,
) -> list[torch.Tensor]:
    """Return the packed filters of a binary basis and the maps that each output adds up.

    Args:
        basis: The basis, (filters, channels, K, K).
        chosen: Selected filter of each channel split, (Cout, splits).
        channels: Input channels of each output channel, (Cout, gw).
        shapes: Boolean kernel shapes, (shapes, K, K).
        which: Shape numbers, (Cout, gw).
        inputs: Number of input channels.
        plan: Table of the plan, (n,) int32.

    Returns:
        The packed weight of all maps, and the numbers of the maps of each output, (Cout, splits).
    """
    *select, filters, numbers = maps_merge(basis, chosen, channels, shapes, which, inputs)
    pieces = (select[0] if select else torch.arange(inputs)).reshape(-1, filters.shape[1])
    maps = [spread(filters, piece.expand(len(filters), -1), inputs) for piece in pieces]
    return [block_sparse(torch.cat(maps), plan), numbers.int()]
