"""The definitions of design.md, section 3, as loops: the reference for dsx.

No code of dsx is used here, except for the supports of kernel shapes without a definition here
(shapes added later).
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import floor

import numpy as np
from torch import nn

from dsx.conv import ConvSpec
from dsx.conv.sparsity.shapes import shape_and_number
from tests.conv.golden import FOLDER

Rule = Callable[[int, int, int], bool]
"""Predicate for whether position (row, column) of a kernel of side k is live."""


def _row(row: int, column: int, k: int) -> bool:
    return row == k // 2


def _column(row: int, column: int, k: int) -> bool:
    return column == k // 2


def _diagonal(row: int, column: int, k: int) -> bool:
    return row == column


def _antidiagonal(row: int, column: int, k: int) -> bool:
    return row + column == k - 1


def _cross(row: int, column: int, k: int) -> bool:
    return _row(row, column, k) or _column(row, column, k)


def _saltire(row: int, column: int, k: int) -> bool:
    return _diagonal(row, column, k) or _antidiagonal(row, column, k)


def _top(row: int, column: int, k: int) -> bool:
    return row <= k // 2


def _bottom(row: int, column: int, k: int) -> bool:
    return row >= k // 2


def _left(row: int, column: int, k: int) -> bool:
    return column <= k // 2


def _right(row: int, column: int, k: int) -> bool:
    return column >= k // 2


def _both(one: Rule, other: Rule) -> Rule:
    return lambda row, column, k: one(row, column, k) and other(row, column, k)


RULES: dict[str, list[Rule]] = {
    "full": [lambda row, column, k: True],
    "point": [_both(_row, _column)],
    "row": [_row],
    "column": [_column],
    "diagonal": [_diagonal],
    "antidiagonal": [_antidiagonal],
    "cross": [_cross],
    "saltire": [_saltire],
    "lines": [_row, _antidiagonal, _column, _diagonal],
    "corners": [
        _both(_top, _left),
        _both(_top, _right),
        _both(_bottom, _right),
        _both(_bottom, _left),
    ],
    "halves": [_top, _right, _bottom, _left],
    "checker": [_cross, _saltire],
}
"""Rules of each kernel shape; output o follows rule number o mod n."""


def alive(shape: str, output: int, channel: int, row: int, column: int, k: int) -> bool:
    """Check whether a position of an odd square kernel is live."""
    if shape.startswith("het"):
        full = (channel - output) % int(shape[3:]) == 0
        return full or (row == column == k // 2)
    if shape in RULES:
        rules = RULES[shape]
        return rules[output % len(rules)](row, column, k)
    supports = shape_and_number(shape)[0].supports(k)
    return bool(supports[output % len(supports)][row][column])


def groups(spec: ConvSpec, in_channels: int) -> int:
    """Return the number of groups."""
    return in_channels if spec.groups == "all" else int(spec.groups)


def step(stride: float | str, width: int) -> int:
    """Return the step s = gw - floor((1 - r) * gw), with the exact decimal r."""
    return width - floor((1 - Fraction(str(stride))) * width)


def window(spec: ConvSpec, in_channels: int, out_channels: int, output: int) -> list[int]:
    """Return the channels that an output reads, in the order of the weight columns."""
    parts = groups(spec, in_channels)
    width = in_channels // parts
    if parts == 1:
        return list(range(in_channels))
    if spec.channel_stride in (None, "block"):
        group = output // (out_channels // parts)
        return [group * width + j for j in range(width)]
    assert spec.channel_stride is not None
    start = output * step(spec.channel_stride, width)
    return [(start + j) % in_channels for j in range(width)]


def kernel_positions(kernel: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Iterate over all positions of a kernel."""
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            yield row, column


Triple = tuple[int, int, int, int]
"""Output, channel, and row and column of a kernel position."""


def live(spec: ConvSpec, conv: nn.Conv2d) -> set[Triple]:
    """Return the live triples; for a separable spec, those of its 1 x 1 stage."""
    kernel = (1, 1) if spec.separable else tuple(conv.kernel_size)
    found = set()
    for output in range(conv.out_channels):
        for channel in window(spec, conv.in_channels, conv.out_channels, output):
            for row, column in kernel_positions(kernel):
                whole = spec.kernel_shape == "full" or kernel == (1, 1)
                if whole or alive(spec.kernel_shape, output, channel, row, column, kernel[0]):
                    found.add((output, channel, row, column))
    return found


def positions(spec: ConvSpec, kernel: tuple[int, ...]) -> set[tuple[int, int]]:
    """Return P, the union of all supports of a kernel shape."""
    whole = spec.kernel_shape == "full" or kernel == (1, 1)
    return {
        (row, column)
        for row, column in kernel_positions(kernel)
        if whole
        or any(alive(spec.kernel_shape, output, 0, row, column, kernel[0]) for output in range(60))
    }


def box(spec: ConvSpec, kernel: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the bounding box of the union of all supports of a kernel shape."""
    union = positions(spec, kernel)
    rows, columns = [row for row, _ in union], [column for _, column in union]
    return slice(min(rows), max(rows) + 1), slice(min(columns), max(columns) + 1)


def is_separable(spec: ConvSpec, conv: nn.Conv2d) -> bool:
    """Check whether a spec splits a convolution into two stages; a 1 x 1 kernel is not split."""
    return spec.separable and tuple(conv.kernel_size) != (1, 1)


RIGID: Sequence[np.ndarray] = np.load(FOLDER / "lhc_rigid_shapes.npy")
"""The 15 rigid shapes in the published order."""


def first_largest(scores: Sequence[float]) -> int:
    """Return the index of the largest number, the first one if several are equal."""
    best = 0
    for index, score in enumerate(scores):
        if score > scores[best]:
            best = index
    return best


def learned_live(
    spec: ConvSpec, conv: nn.Conv2d, scores: np.ndarray, enabled: Sequence[bool]
) -> set[Triple]:
    """Return the live triples of learned shapes; outputs that are not enabled are dense."""
    found = set()
    for output in range(conv.out_channels):
        for channel in range(conv.in_channels):
            own = scores[..., channel // spec.block_in, output // spec.block_out]
            shape = RIGID[first_largest(own.tolist())] if spec.rigid else own
            for row, column in kernel_positions(conv.kernel_size):
                if not enabled[output] or shape[row, column] > 0:
                    found.add((output, channel, row, column))
    return found


def channel_splits(spec: ConvSpec, conv: nn.Conv2d, output: int) -> list[tuple[int, ...]]:
    """Return the channels of each split of the window of an output."""
    channels = window(spec, conv.in_channels, conv.out_channels, output)
    width = len(channels) // spec.splits
    return [tuple(channels[j * width : (j + 1) * width]) for j in range(spec.splits)]


def selection_bits(k: int) -> int:
    """Return ceil(log2 k), the number of bits that distinguish k filters."""
    bits = 0
    while 2**bits < k:
        bits += 1
    return bits


def _basis_flops(spec: ConvSpec, conv: nn.Conv2d) -> tuple[int, int, int]:
    """Count per pixel the multiply-adds of the live kernel and of the maps, and the merges."""
    kernel = (1, 1) if spec.separable else tuple(conv.kernel_size)
    distinct = {
        split for output in range(conv.out_channels) for split in channel_splits(spec, conv, output)
    }
    maps = spec.binary_basis * len(positions(spec, kernel)) * sum(map(len, distinct))
    return len(live(spec, conv)), maps, conv.out_channels * (spec.splits - 1)


def merges(spec: ConvSpec, conv: nn.Conv2d) -> int:
    """Return the additions per pixel in the cost that operator counters do not count."""
    if not spec.binary_basis:
        return 0
    dense, maps, additions = _basis_flops(spec, conv)
    return additions if maps + additions < dense else 0


def cost(
    spec: ConvSpec,
    conv: nn.Conv2d,
    out_hw: tuple[int, int],
    learned: set[Triple] | None = None,
) -> tuple[int, int, int]:
    """Compute params, flops and bits; learned shapes have the given live triples."""
    pixels = out_hw[0] * out_hw[1]
    first = biases = 0
    if is_separable(spec, conv):
        first = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
        biases = conv.in_channels
    elif conv.bias is not None:
        biases = conv.out_channels
    if spec.binary_basis:
        kernel = (1, 1) if spec.separable else tuple(conv.kernel_size)
        width = len(channel_splits(spec, conv, 0)[0])
        entries = spec.binary_basis * width * len(positions(spec, kernel))
        choices = conv.out_channels * spec.splits
        reals = first + biases + (conv.out_channels if spec.scale else 0)
        dense, maps, additions = _basis_flops(spec, conv)
        flops = first + min(dense, maps + additions)
        bits = entries + choices * selection_bits(spec.binary_basis) + 32 * reals
        return entries + reals, flops * pixels, bits
    weights = first + len(live(spec, conv) if learned is None else learned)
    params = weights + biases
    bits = 32 * params
    if learned is not None:
        inputs = {channel // spec.block_in for channel in range(conv.in_channels)}
        outputs = {output // spec.block_out for output in range(conv.out_channels)}
        each = 4 if spec.rigid else conv.kernel_size[0] * conv.kernel_size[1]
        bits += len(inputs) * len(outputs) * each
    return params, weights * pixels, bits
