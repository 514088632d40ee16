"""Functions that unpack the stored tensors of a network into those of its deployed forms.

model.py contains the source code of the functions that it calls, so they require torch only. Cout
and Cin are the numbers of output and input channels of a convolution, gw is the number of channels
in a window, and K x K the kernel.
"""

import math

import torch


def batch_norm(
    stored: dict[str, torch.Tensor], name: str, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch norm as a factor and a shift of each channel.

    Args:
        stored: Stored tensors by name.
        name: Name of the batch norm.
        eps: Constant that is added to the variance.

    Returns:
        Factor and shift, (channels,) each.
    """
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
    """Compute factor and shift of each channel from the tensors of a batch norm.

    Args:
        eps: Constant that is added to the variance.
        mean: Running mean, (channels,).
        variance: Running variance, (channels,).
        weight: Weight, (channels,); None for 1.
        bias: Bias, (channels,); None for 0.

    Returns:
        Factor and shift, (channels,) each.
    """
    factor = (variance.double() + eps).rsqrt()
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor
    shift = shift if bias is None else shift + bias.double()
    return factor.to(mean.dtype), shift.to(mean.dtype)


def unpack_bits(packed: torch.Tensor, width: int, count: int) -> torch.Tensor:
    """Unpack integers that are stored with the most significant bit first.

    Args:
        packed: Bytes, (n,) uint8.
        width: Number of bits of each integer.
        count: Number of integers.

    Returns:
        The integers, (count,).
    """
    bits = (packed[:, None] >> torch.arange(7, -1, -1)) & 1
    bits = bits.flatten()[: count * width].reshape(count, width).long()
    return (bits << torch.arange(width - 1, -1, -1)).sum(1)


def kernel_shapes(*drawings: str) -> torch.Tensor:
    """Parse kernel shapes from drawings with "x" for each live position.

    Args:
        drawings: Kernel shapes, with rows separated by spaces.

    Returns:
        Boolean kernel shapes, (shapes, K, K).
    """
    return torch.tensor([[[mark == "x" for mark in row] for row in p.split()] for p in drawings])


def block_windows(outputs: int, inputs: int, groups: int) -> torch.Tensor:
    """Return the input channels of each output channel of a grouped convolution.

    Args:
        outputs: Number of output channels.
        inputs: Number of input channels.
        groups: Number of groups.

    Returns:
        Channel numbers, (Cout, gw).
    """
    starts = torch.arange(outputs) // (outputs // groups) * (inputs // groups)
    return starts[:, None] + torch.arange(inputs // groups)


def sliding_windows(outputs: int, inputs: int, groups: int, step: int) -> torch.Tensor:
    """Return the input channels of each output channel for windows that wrap around.

    Args:
        outputs: Number of output channels.
        inputs: Number of input channels.
        groups: Number of input channels divided by the width of a window.
        step: Distance of the windows of consecutive output channels.

    Returns:
        Channel numbers, (Cout, gw).
    """
    starts = torch.arange(outputs) * step
    return (starts[:, None] + torch.arange(inputs // groups)) % inputs


def cyclic(channels: torch.Tensor, shapes: int) -> torch.Tensor:
    """Return the shape numbers of a cyclic shape: output o uses shape o mod `shapes`.

    Args:
        channels: Input channels of each output channel, (Cout, gw).
        shapes: Number of kernel shapes.

    Returns:
        Shape numbers, (Cout, gw).
    """
    return (torch.arange(len(channels))[:, None] % shapes).expand_as(channels)


def heterogeneous(channels: torch.Tensor, period: int) -> torch.Tensor:
    """Return the shape numbers of a heterogeneous convolution.

    Args:
        channels: Input channels of each output channel, (Cout, gw).
        period: Output o has shape 0 for the channels o + i * `period`, and shape 1 for others.

    Returns:
        Shape numbers, (Cout, gw).
    """
    return ((channels - torch.arange(len(channels))[:, None]) % period != 0).long()


def learned_shapes(
    blocks: torch.Tensor, block_in: int, enabled: torch.Tensor, block_out: int, inputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distinct shapes of learned blocks, and the shape number of each kernel.

    Args:
        blocks: Boolean shapes of the blocks, (output blocks, input blocks, K, K).
        block_in: Number of input channels of a block.
        enabled: Whether each output channel has learned shapes, (Cout,); others are full.
        block_out: Number of output channels of a block.
        inputs: Number of input channels.

    Returns:
        Boolean shapes, (shapes, K, K), and shape numbers, (Cout, Cin).
    """
    rows = blocks.repeat_interleave(block_out, 0)[: len(enabled)] | ~enabled[:, None, None, None]
    shapes, which = torch.unique(rows.flatten(0, 1), dim=0, return_inverse=True)
    which = which.reshape(rows.shape[:2])
    return shapes, which.repeat_interleave(block_in, 1)[:, :inputs]


def place(numbers: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Return a weight with the live numbers in their positions and zeros elsewhere.

    Args:
        numbers: Live weights, (n,).
        live: Boolean live positions, (Cout, gw, K, K).

    Returns:
        The weight, (Cout, gw, K, K).
    """
    weight = numbers.new_zeros(live.shape)
    weight[live] = numbers
    return weight


def place_signs(packed: torch.Tensor, filters: int, width: int, used: torch.Tensor) -> torch.Tensor:
    """Unpack a binary basis.

    Args:
        packed: Signs of all filters at used positions as bits, (n,) uint8.
        filters: Number of filters.
        width: Number of channels of a filter.
        used: Boolean kernel positions that the basis uses, (K, K).

    Returns:
        The basis, (filters, width, K, K) int8 of +1 and -1; +1 at unused positions.
    """
    count = filters * width * int(used.sum())
    basis = torch.ones(filters, width, *used.shape, dtype=torch.int8)
    basis[:, :, used] = (2 * unpack_bits(packed, 1, count) - 1).char().reshape(filters, width, -1)
    return basis


def stack(basis: torch.Tensor, chosen: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Stack the selected filters of a binary basis to the filters of a convolution.

    Args:
        basis: The basis, (filters, channels, K, K).
        chosen: Selected filter of each channel split, (Cout, splits).
        live: Boolean live positions, (Cout, gw, K, K).

    Returns:
        The weight, (Cout, gw, K, K), with zeros at dead positions.
    """
    return basis[chosen].flatten(1, 2) * live


def spread(weight: torch.Tensor, channels: torch.Tensor, inputs: int) -> torch.Tensor:
    """Return a windowed weight over all input channels, with zeros elsewhere.

    Args:
        weight: Weight of the windows, (Cout, gw, K, K).
        channels: Input channels of each output channel, (Cout, gw).
        inputs: Number of input channels.

    Returns:
        The dense weight, (Cout, Cin, K, K).
    """
    dense = weight.new_zeros(len(weight), inputs, *weight.shape[2:])
    return dense.scatter(1, channels[:, :, None, None].expand_as(weight), weight)


def by_group(numbers: torch.Tensor, groups: int) -> torch.Tensor:
    """Sort interleaved outputs by group: output i * groups + g belongs to group g.

    Args:
        numbers: Values of each output channel, (Cout, ...).
        groups: Number of groups.

    Returns:
        The same values in the order of the groups, (Cout, ...).
    """
    rows = numbers.reshape(len(numbers) // groups, groups, *numbers.shape[1:])
    return rows.transpose(0, 1).flatten(0, 1)


def split(
    weight: torch.Tensor,
    channels: torch.Tensor,
    shapes: torch.Tensor,
    which: torch.Tensor,
    inputs: int,
) -> list[torch.Tensor]:
    """Split a convolution into grouped convolutions of outputs with the same kernel shape.

    Each of them has outputs with the same number of channels of one kernel shape, on the bounding
    box of the shape.

    Args:
        weight: The weight, (Cout, gw, K, K).
        channels: Input channels of each output channel, (Cout, gw).
        shapes: Boolean kernel shapes, (shapes, K, K).
        which: Shape numbers, (Cout, gw).
        inputs: Number of input channels.

    Returns:
        For each part the selected channels, unless it reads all channels in order, and the
        weights; then the order of the outputs.
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
            if len(torch.unique(owner.bincount())) > 1:  # each output is a separate group
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
    """Return the weights of each kernel position, one kernel shape after the other.

    Args:
        weight: The weight, (Cout, gw, K, K).
        shapes: Boolean kernel shapes, (shapes, K, K).
        which: Shape numbers, (Cout, gw).
        groups: Number of groups.

    Returns:
        The weights, (groups, outputs, gw) each; then the order of the outputs, unless they are
        in order.
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
    """Return the filters of each window as one matrix that is padded with zeros.

    Args:
        weight: The weight, (Cout, gw, K, K).
        channels: Input channels of each output channel, (Cout, gw).
        inputs: Number of input channels.
        step: Distance of the windows of consecutive output channels.

    Returns:
        The matrices, (windows, rows, gw * K * K), and the row of each output, (Cout,).
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
    """Return the filters of a binary basis and the maps that each output adds up.

    Args:
        basis: The basis, (filters, channels, K, K).
        chosen: Selected filter of each channel split, (Cout, splits).
        channels: Input channels of each output channel, (Cout, gw).
        shapes: Boolean kernel shapes, (shapes, K, K).
        which: Shape numbers, (Cout, gw).
        inputs: Number of input channels.

    Returns:
        The channels of all channel splits, unless they are in order; the distinct filters on
        their shapes; the numbers of the maps of each output, (Cout, splits).
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
    """Merge a depthwise and a 1 x 1 stage into one weight and one bias.

    Args:
        weight: Weight of the 1 x 1 stage, (Cout, Cin, 1, 1).
        depthwise: Weight of the depthwise stage, (Cin, 1, K, K).
        shift: Bias of the depthwise stage, (Cin,).

    Returns:
        The weight, (Cout, Cin, K, K), and the bias, (Cout,).
    """
    return weight * depthwise[:, 0], weight[:, :, 0, 0] @ shift
