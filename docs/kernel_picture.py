"""Figure of docs/performance.md: a tile of pixels, the list of a block, and the block.

The plan is that of a real convolution, made by dsx.
"""

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from dsx.conv import ConvSpec
from dsx.conv.native.plan import ROWS, make_plan
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import layout, spread_layout

CHANNELS, PIXELS = 32, 48
CELL = 8
"""Side of a cell in pixels."""
SPEC = ConvSpec(kernel_shape="point", groups=4, channel_stride=0.67)
COLOURS = ["#eeeeee", "#0072b2", "#56b4e9", "#009e73", "#e69f00"]
"""Not read; read by all eight rows, by four rows, by two rows, and padding."""


def kernel_blocks() -> Figure:
    """Draw the weights of a sliding window, its blocks, and one tile."""
    live, order, segment = _plan()
    figure = Figure(figsize=(9.4, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.05, 1.05, 1.9])
    _cells(left, live.long(), "weights as published", "output")
    _cells(middle, segment, "outputs in blocks of 8", "output, in the order of the plan")
    for edge in range(ROWS, CHANNELS, ROWS):
        middle.axhline(edge, color="#333333", linewidth=1.2)
    middle.set_yticks(range(0, CHANNELS, ROWS), [str(int(n)) for n in order[::ROWS]], fontsize=7)
    _tile(right)
    return figure


def _plan() -> tuple[Tensor, Tensor, Tensor]:
    """Return the live weights, the order of the outputs, and the segment of each weight."""
    geometry = Geometry(
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        kernel_size=(1, 1),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        padding_mode="zeros",
    )
    frame = layout(SPEC, geometry)
    live = spread_layout(frame.live, frame, geometry)
    table = make_plan(live.numpy(), geometry).table.long()
    columns, blocks = table[13], table[14]
    rows = table[17 : 17 + blocks * ROWS]
    counts = table[17 + blocks * ROWS :][: blocks * 7].reshape(-1, 7)
    entries = table[-int(table[15]) :]
    assert columns == CHANNELS
    segment = torch.zeros(CHANNELS, CHANNELS, dtype=torch.long)
    at = 0
    for block, lengths in enumerate(counts):
        for number, length in enumerate(lengths.tolist()):
            size = (8, 4, 4, 2, 2, 2, 2)[number]
            first = (0, 0, 4, 0, 2, 4, 6)[number]
            for column in entries[at : at + length]:
                top = block * ROWS + first
                segment[top : top + size, column] = {8: 1, 4: 2, 2: 3}[size]
            at += length
    read = live[rows.clamp_min(0), :, 0, 0]
    segment[(segment > 0) & ~read] = 4
    return live[:, :, 0, 0], rows, segment


def _cells(axes: Axes, cells: Tensor, title: str, label: str) -> None:
    # Pixels with a margin: paths for a thousand cells would take 400 kB.
    shown = torch.full((len(cells) * CELL, cells.shape[1] * CELL), -1, dtype=torch.long)
    for row in range(1, CELL):
        for column in range(1, CELL):
            shown[row::CELL, column::CELL] = cells
    colours = ListedColormap(["white", *COLOURS])
    extent = (0, cells.shape[1], len(cells), 0)
    axes.imshow(shown.numpy(), colours, vmin=-1, vmax=4, extent=extent, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("input channel", fontsize=8)
    axes.set_ylabel(label, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _tile(axes: Axes) -> None:
    """Draw what one step of the micro-kernel multiplies."""
    axes.set_xlim(0, 60)
    axes.set_ylim(31, -4)
    axes.axis("off")
    axes.set_title("one entry of the list, in a tile of 48 pixels", fontsize=9)
    _box(axes, 10, 0, PIXELS, 2, "#d9d9d9")
    for edge in (26, 42):
        axes.plot([edge, edge], [0, 2], color="white", linewidth=1.5)
    axes.text(34, -1.0, "3 vectors of 16 pixels of one column", ha="center", fontsize=8)
    for row in range(ROWS):
        _box(axes, 3, 6 + 2.4 * row, 2.2, 2, COLOURS[1])
        _box(axes, 10, 6 + 2.4 * row, PIXELS, 2, "#cfe3f1")
        for edge in (26, 42):
            axes.plot([edge, edge], [6 + 2.4 * row, 8 + 2.4 * row], color="white", linewidth=1.5)
    axes.text(4.1, 4.7, "8 weights", ha="center", fontsize=8)
    axes.text(34, 4.7, "24 sums, which stay in registers", ha="center", fontsize=8)
    axes.text(7.6, 15.6, "\N{MULTIPLICATION SIGN}", ha="center", fontsize=11)
    legend = ("8 rows", "4 rows", "2 rows", "padding")
    for place, (words, colour) in enumerate(zip(legend, COLOURS[1:], strict=True)):
        _box(axes, 3 + 14.5 * place, 27.6, 2, 2, colour)
        axes.text(5.8 + 14.5 * place, 29.2, words, fontsize=8)


def _box(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    corners = ([x, x + width, x + width, x], [y, y, y + height, y + height])
    axes.fill(*corners, color=colour, linewidth=0)
