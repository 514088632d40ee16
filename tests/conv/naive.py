"""The definitions of design.md, section 3, written as loops: the truth dsx is compared with.

Nothing of dsx is used here, but for the supports of a kernel shape that these loops do not know
(one that was added after them).
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor

from torch import nn

from dsx.conv import ConvSpec
from dsx.conv.shapes import shape_and_number

Rule = Callable[[int, int, int], bool]
"""Whether position (row, column) of a kernel of side k is alive."""


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


TURNING: dict[str, list[Rule]] = {
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
"""Output o has the shape number o mod n of its list."""


def alive(shape: str, output: int, channel: int, row: int, column: int, k: int) -> bool:
    """Say whether one position of an odd square kernel exists."""
    if shape.startswith("het"):
        full = (channel - output) % int(shape[3:]) == 0
        return full or (row == column == k // 2)
    if shape in TURNING:
        rules = TURNING[shape]
        return rules[output % len(rules)](row, column, k)
    supports = shape_and_number(shape)[0].supports(k)
    return bool(supports[output % len(supports)][row][column])


def groups(spec: ConvSpec, in_channels: int) -> int:
    """Read the groups dial."""
    return in_channels if spec.groups == "all" else int(spec.groups)


def step(stride: float | str, width: int) -> int:
    """Give s = gw - floor((1 - r) * gw), r read as it is written."""
    return width - floor((1 - Fraction(str(stride))) * width)


def window(spec: ConvSpec, in_channels: int, out_channels: int, output: int) -> list[int]:
    """List the channels that an output reads, in the order of its weight columns."""
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
    """Walk over all positions of a kernel."""
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            yield row, column


Triple = tuple[int, int, int, int]
"""Output, channel, and the row and column of a kernel position."""


def live(spec: ConvSpec, conv: nn.Conv2d) -> set[Triple]:
    """List the live triples; of a separable spec, those of its 1 x 1 stage."""
    kernel = (1, 1) if spec.separable else tuple(conv.kernel_size)
    found = set()
    for output in range(conv.out_channels):
        for channel in window(spec, conv.in_channels, conv.out_channels, output):
            for row, column in kernel_positions(kernel):
                whole = spec.kernel_shape == "full" or kernel == (1, 1)
                if whole or alive(spec.kernel_shape, output, channel, row, column, kernel[0]):
                    found.add((output, channel, row, column))
    return found


def box(spec: ConvSpec, kernel: tuple[int, ...]) -> tuple[slice, slice]:
    """Give the bounding box of the union of all supports that a kernel shape has."""
    if spec.kernel_shape == "full" or kernel == (1, 1):
        return slice(0, kernel[0]), slice(0, kernel[1])
    anywhere = [
        (row, column)
        for row, column in kernel_positions(kernel)
        if any(alive(spec.kernel_shape, output, 0, row, column, kernel[0]) for output in range(60))
    ]
    rows, columns = [row for row, _ in anywhere], [column for _, column in anywhere]
    return slice(min(rows), max(rows) + 1), slice(min(columns), max(columns) + 1)


def is_separable(spec: ConvSpec, conv: nn.Conv2d) -> bool:
    """Say whether a spec writes this convolution as two; a 1 x 1 kernel is not written as two."""
    return spec.separable and tuple(conv.kernel_size) != (1, 1)


def cost(spec: ConvSpec, conv: nn.Conv2d, out_hw: tuple[int, int]) -> tuple[int, int, int]:
    """Count params, flops and bits."""
    pixels = out_hw[0] * out_hw[1]
    weights = len(live(spec, conv))
    if is_separable(spec, conv):
        weights += conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
        biases = conv.in_channels
    else:
        biases = 0 if conv.bias is None else conv.out_channels
    params = weights + biases
    return params, weights * pixels, 32 * params
