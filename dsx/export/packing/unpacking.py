"""Functions that unpack the stored tensors of a network into those of its deployed forms.

model.py contains the source of those that it calls, so they need torch only. Cout and Cin are the
output and input channels of a convolution, gw the channels in a window, K x K its kernel.
"""

import math

import torch


def batch_norm(
    stored: dict[str, torch.Tensor], name: str, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write a batch norm as a factor and a shift of each channel."""
    mean, variance = stored[f"{name}.running_mean"], stored[f"{name}.running_var"]
    weight, bias = stored.get(f"{name}.weight"), stored.get(f"{name}.bias")
    return factor_and_shift(eps, mean, variance, weight, bias)


def factor_and_shift(
    eps: float,
    mean: torch.Tensor,
    variance: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the arguments of a batch norm as a factor and a shift of each channel."""
    factor = (variance.double() + eps).rsqrt()
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor
    shift = shift if bias is None else shift + bias.double()
    return factor.to(mean.dtype), shift.to(mean.dtype)


def unpack_bits(packed: torch.Tensor, width: int, count: int) -> torch.Tensor:
    """Read numbers of `width` bits each, the highest bit first."""
    bits = (packed[:, None] >> torch.arange(7, -1, -1)) & 1
    bits = bits.flatten()[: count * width].reshape(count, width).long()
    return (bits << torch.arange(width - 1, -1, -1)).sum(1)


def kernel_shapes(*pictures: str) -> torch.Tensor:
    """Read kernel shapes, whose rows are separated by spaces: (shapes, K, K) boolean."""
    return torch.tensor([[[mark == "x" for mark in row] for row in p.split()] for p in pictures])


def block_windows(outputs: int, inputs: int, groups: int) -> torch.Tensor:
    """Number the input channels that each output reads, (Cout, gw), of a grouped convolution."""
    starts = torch.arange(outputs) // (outputs // groups) * (inputs // groups)
    return starts[:, None] + torch.arange(inputs // groups)


def sliding_windows(outputs: int, inputs: int, groups: int, step: int) -> torch.Tensor:
    """Number the input channels that each output reads, (Cout, gw); windows wrap around."""
    starts = torch.arange(outputs) * step
    return (starts[:, None] + torch.arange(inputs // groups)) % inputs


def cyclic(channels: torch.Tensor, shapes: int) -> torch.Tensor:
    """Select shape o mod `shapes` for all channels of output o: (Cout, gw)."""
    return (torch.arange(len(channels))[:, None] % shapes).expand_as(channels)


def heterogeneous(channels: torch.Tensor, period: int) -> torch.Tensor:
    """Select shape 0 for channels o + i * `period` of output o, shape 1 for others: (Cout, gw)."""
    return ((channels - torch.arange(len(channels))[:, None]) % period != 0).long()


def learned_shapes(
    blocks: torch.Tensor, block_in: int, enabled: torch.Tensor, block_out: int, inputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """List the shapes of the blocks, and number the shape of each weight: (n, K, K), (Cout, Cin).

    Blocks are (output blocks, input blocks, K, K) boolean; outputs that are not enabled are full.
    """
    rows = blocks.repeat_interleave(block_out, 0)[: len(enabled)] | ~enabled[:, None, None, None]
    shapes, which = torch.unique(rows.flatten(0, 1), dim=0, return_inverse=True)
    which = which.reshape(rows.shape[:2])
    return shapes, which.repeat_interleave(block_in, 1)[:, :inputs]


def place(numbers: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Put the live weights into their places, with zeros between them: (Cout, gw, K, K)."""
    weight = numbers.new_zeros(live.shape)
    weight[live] = numbers
    return weight


def place_signs(packed: torch.Tensor, filters: int, width: int, used: torch.Tensor) -> torch.Tensor:
    """Read a binary basis: (filters, channels, K, K) of +1 and -1, +1 at positions not used."""
    count = filters * width * int(used.sum())
    basis = torch.ones(filters, width, *used.shape, dtype=torch.int8)
    basis[:, :, used] = (2 * unpack_bits(packed, 1, count) - 1).char().reshape(filters, width, -1)
    return basis


def stack(basis: torch.Tensor, chosen: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Stack the chosen filters of each output, with zeros at dead positions: (Cout, gw, K, K)."""
    return basis[chosen].flatten(1, 2) * live


def spread(weight: torch.Tensor, channels: torch.Tensor, inputs: int) -> torch.Tensor:
    """Write windowed weights over all input channels, with zeros elsewhere: (Cout, Cin, K, K)."""
    dense = weight.new_zeros(len(weight), inputs, *weight.shape[2:])
    return dense.scatter(1, channels[:, :, None, None].expand_as(weight), weight)


def by_group(numbers: torch.Tensor, groups: int) -> torch.Tensor:
    """Sort interleaved outputs by group: output i * groups + g goes to group g."""
    rows = numbers.reshape(len(numbers) // groups, groups, *numbers.shape[1:])
    return rows.transpose(0, 1).flatten(0, 1)


def split(
    weight: torch.Tensor,
    channels: torch.Tensor,
    shapes: torch.Tensor,
    which: torch.Tensor,
    inputs: int,
) -> list[torch.Tensor]:
    """Cut a convolution into small grouped ones, each of outputs with equally many channels of one
    kernel shape, on the bounding box of the shape; the last is the order of their outputs.
    """
    found: list[torch.Tensor] = []
    orders = []
    for number, shape in enumerate(shapes):
        chosen, rows, columns = which == number, shape.any(1).nonzero(), shape.any(0).nonzero()
        counts = chosen.sum(1)
        for count in torch.unique(counts).tolist() if shape.any() else []:
            if count == 0:
                continue
            outputs = (counts == count).nonzero().flatten()
            places = chosen[outputs].nonzero()[:, 1].reshape(len(outputs), count)
            own = weight[outputs[:, None], places][
                :, :, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1
            ]
            read = channels[outputs[:, None], places]
            windows, owner = torch.unique(read, dim=0, return_inverse=True)
            if len(torch.unique(owner.bincount())) > 1:  # each output is a group of its own
                windows, owner = read, torch.arange(len(read))
            order = owner.argsort(stable=True)
            select = windows.flatten()
            found += [] if torch.equal(select, torch.arange(inputs)) else [select]
            found += [own[order]]
            orders.append(outputs[order])
    if not orders:
        return found
    order = torch.cat(orders)
    once = torch.equal(order.sort().values, torch.arange(len(weight)))
    return [*found, order.argsort() if once else order]


def shifted(
    weight: torch.Tensor, shapes: torch.Tensor, which: torch.Tensor, groups: int
) -> list[torch.Tensor]:
    """List the weights of each kernel position, (groups, outputs, gw), one kernel shape after the
    other; then the order of the outputs, if they are not in order.
    """
    found, members = [], []
    for number, shape in enumerate(shapes):
        outputs = (which[:, 0] == number).nonzero().reshape(groups, -1)
        if outputs.numel() and shape.any():
            members.append(outputs)
            for row, column in shape.nonzero().tolist():
                found.append(weight[outputs, :, row, column])
    order = torch.cat(members, 1).flatten()
    in_order = torch.equal(order, torch.arange(len(order)))
    return found if in_order else [*found, order.argsort()]


def window_gemm(
    weight: torch.Tensor, channels: torch.Tensor, inputs: int, step: int
) -> list[torch.Tensor]:
    """Lay the filters out as one matrix for each window, filled up with zeros; the second
    tensor has the row of each output.
    """
    between = math.gcd(step, inputs)
    window = channels[:, 0] // between
    order = window.argsort(stable=True)
    place = torch.arange(len(order)) - torch.searchsorted(window[order], window[order])
    most = int(window.bincount().max())
    matrices = weight.new_zeros(inputs // between, most, weight[0].numel())
    matrices[window[order], place] = weight.flatten(1)[order]
    slots = torch.empty_like(order)
    slots[order] = window[order] * most + place
    return [matrices, slots]


def maps_merge(
    basis: torch.Tensor,
    chosen: torch.Tensor,
    channels: torch.Tensor,
    shapes: torch.Tensor,
    which: torch.Tensor,
    inputs: int,
) -> list[torch.Tensor]:
    """List the channels of all pieces, if they are not in order, the different filters on their
    shapes, and the maps that each output adds up.
    """
    outputs, splits = chosen.shape
    cut, shape_of = (table.reshape(outputs * splits, -1) for table in (channels, which))
    pieces, read = torch.unique(cut, dim=0, return_inverse=True)
    patterns, pattern = torch.unique(shape_of, dim=0, return_inverse=True)
    pairs = torch.stack([chosen.flatten(), pattern])
    taken, filter_of = torch.unique(pairs, dim=1, return_inverse=True)
    filters = basis[taken[0]] * shapes[patterns[taken[1]]]
    select = pieces.flatten()
    found = [] if torch.equal(select, torch.arange(inputs)) else [select]
    return [*found, filters, (read * len(filters) + filter_of).reshape(outputs, splits)]


def merged(
    weight: torch.Tensor, depthwise: torch.Tensor, shift: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write a depthwise and a 1 x 1 stage as one weight (Cout, Cin, K, K) and one bias (Cout)."""
    return weight * depthwise[:, 0], weight[:, :, 0, 0] @ shift
