"""Draw the figures of dials.md and performance.md from the operators of dsx.

python -m docs.pictures
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from docs.imitation import imitate
from docs.kernel_picture import kernel_blocks
from dsx.conv import build, preset, window_channels
from dsx.conv.modules.basis import channel_splits
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.learned import FROZEN_FROM
from dsx.conv.sparsity.rigid import rigid_shapes
from dsx.conv.sparsity.shapes import Shape, shape_names
from dsx.lookup import find

FOLDER = Path(__file__).parent / "pictures"
LIVE, DEAD, LINE = "#0072b2", "#eeeeee", "white"
MINUS, PLUS = "#d55e00", "#0072b2"
SIGNED = LinearSegmentedColormap.from_list("signed", [MINUS, "#ffffff", PLUS])
GREY, DARK = "#888888", "#333333"


def _cells(
    axes: Axes, cells: Tensor, colours: Colormap, limits: tuple[float, float], gap: float
) -> None:
    """Draw a matrix as coloured squares."""
    axes.pcolormesh(
        cells.numpy(),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        edgecolors=LINE,
        linewidth=gap,
        # The name of a clip path contains its memory address, which differs in each run.
        clip_on=False,
    )
    axes.invert_yaxis()
    axes.set_aspect("equal")
    _bare(axes)


def _grid(axes: Axes, cells: Tensor, title: str, colours: Sequence[str] = (DEAD, LIVE)) -> None:
    """Draw a matrix of small integers as coloured squares."""
    _cells(axes, cells, ListedColormap(list(colours)), (0, len(colours) - 1), 1.5)
    axes.set_title(title, fontsize=9)


def _image(axes: Axes, image: Tensor, title: str, most: float) -> None:
    """Draw an image with values from -most (orange) to +most (blue) in a frame."""
    _cells(axes, image, SIGNED, (-most, most), 0.3)
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.6)
    axes.set_title(title, fontsize=9)


def _kernels(axes: Axes, alive: Tensor, blocks: tuple[int, int], title: str) -> None:
    """Draw the live positions of all kernels, (Cout, Cin, K, K), with gaps between blocks."""
    outputs, inputs, side = alive.shape[:3]
    top = [o * (side + 1) + o // blocks[0] for o in range(outputs)]
    left = [c * (side + 1) + c // blocks[1] for c in range(inputs)]
    whole = [_square(row, column, side) for row in top for column in left]
    live = [_square(top[o] + r, left[c] + s, 1) for o, c, r, s in alive.nonzero().tolist()]
    for squares, colour, gap in ((whole, DEAD, 0), (live, LIVE, 0.4)):
        cells = PolyCollection(squares, facecolors=colour, edgecolors=LINE, linewidths=gap)
        cells.set_clip_on(False)
        axes.add_collection(cells)
    axes.set(xlim=(0, left[-1] + side), ylim=(top[-1] + side, 0), title=title, aspect="equal")
    axes.title.set_fontsize(9)
    _bare(axes)
    _channel_labels(axes)


def _square(row: int, column: int, side: int) -> list[tuple[int, int]]:
    right, bottom = column + side, row + side
    return [(column, row), (right, row), (right, bottom), (column, bottom)]


def _bare(axes: Axes) -> None:
    """Remove ticks and frame."""
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _channel_labels(axes: Axes) -> None:
    axes.set_xlabel("input channel", fontsize=8)
    axes.set_ylabel("output channel", fontsize=8)


def _label(axes: Axes, words: str) -> None:
    """Use a panel for the label of its row."""
    axes.axis("off")
    axes.text(1, 0.5, words, ha="right", va="center", fontsize=10)


def kernel_shapes() -> Figure:
    """Draw every fixed shape at K = 3 and K = 5, one square per support.

    Returns:
        The figure.
    """
    names = [name for name in shape_names() if not find(Shape, name.partition("<")[0]).numbered]
    names.sort(key=_plainness)
    plain = [name for name in names if len(find(Shape, name).supports(3)) == 1]
    cyclic = [name for name in names if name not in plain]
    figure = Figure(figsize=(9, 1.12 * (2 + len(cyclic))), layout="constrained")
    rows = figure.subplots(2 + len(cyclic), 9, gridspec_kw={"width_ratios": [0.8] + [1] * 8})
    for panel in rows.flat:
        panel.axis("off")
    for row, side in zip(rows, (3, 5), strict=False):
        _label(row[0], f"K = {side}")
        for panel, name in zip(row[1:], plain, strict=True):
            panel.axis("on")
            _grid(panel, find(Shape, name).supports(side)[0].long(), name if side == 3 else "")
    for row, name in zip(rows[2:], cyclic, strict=True):
        _label(row[0], name)
        for side, first in ((3, 1), (5, 5)):
            supports = find(Shape, name).supports(side)
            for number, support in enumerate(supports):
                row[first + number].axis("on")
                _grid(row[first + number], support.long(), f"o mod {len(supports)} = {number}")
    return figure


def _plainness(word: str) -> tuple[int, int, str]:
    supports = find(Shape, word).supports(3)
    return len(supports), int(supports.sum()), word


def kernels() -> Figure:
    """Draw all kernels of four convolutions with fixed shapes, 8 -> 8 channels.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9, 2.7), layout="constrained")
    specs = {
        "lines": preset("ssc", kernel_shape="lines"),
        "cross, groups = 2": preset("ssc", kernel_shape="cross", groups=2),
        "corners, groups = 2,\nchannel_stride = 0.25": preset(
            "ssc", kernel_shape="corners", groups=2, channel_stride=0.25
        ),
        "het4": preset("hetconv", p=4),
    }
    slot = nn.Conv2d(8, 8, 3)
    for axes, (title, spec) in zip(figure.subplots(1, 4), specs.items(), strict=True):
        conv = build(spec, slot)
        _kernels(axes, conv.dense_weight().detach() != 0, (8, 8), title)
    return figure


def groups() -> Figure:
    """Draw the input channels that each of 8 output channels reads, for block groups.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, number in zip(figure.subplots(1, 4), (1, 2, 4, 8), strict=True):
        _grid(axes, _reads(8, 8, number, "block"), f"groups = {number if number < 8 else 'all'}")
        _channel_labels(axes)
    return figure


def channel_stride() -> Figure:
    """Draw the input channels that each of 8 output channels reads, for sliding windows of 4.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    strides: tuple[float | str, ...] = ("block", 0.25, 0.5, 1.0)
    for axes, stride in zip(figure.subplots(1, 4), strides, strict=True):
        _grid(axes, _reads(8, 8, 2, stride), f"groups = 2, channel_stride = {stride}")
        _channel_labels(axes)
    return figure


def _reads(inputs: int, outputs: int, number: int, stride: float | str) -> Tensor:
    channels = window_channels(inputs, outputs, number, stride)
    return torch.zeros(outputs, inputs, dtype=torch.long).scatter(1, channels, 1)


def rigid() -> Figure:
    """Draw the 15 rigid shapes in the order of their scores.

    Returns:
        The figure.
    """
    shapes = rigid_shapes()
    figure = Figure(figsize=(9, 0.8), layout="constrained")
    for number, axes in enumerate(figure.subplots(1, len(shapes))):
        _grid(axes, shapes[number].long(), str(number))
    return figure


def learned_shapes() -> Figure:
    """Draw the known shapes of four blocks, the scores, and the learned shapes.

    Returns:
        The figure.
    """
    training = imitate()
    scores = training.layer.shape_scores.detach()
    learned = (scores > 0).long()
    figure = Figure(figsize=(9, 4.1), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.3, 1])[0]
    rows = left.subplots(3, 5, gridspec_kw={"width_ratios": [0.9] + [1] * 4})
    for row, words in zip(rows, ("imitated", "scores", "learned:\nscore > 0"), strict=True):
        _label(row[0], words)
    for number in range(4):
        i, o = divmod(number, 2)
        title = f"inputs {4 * i} to {4 * i + 3},\noutputs {8 * o} to {8 * o + 7}"
        above, middle, below = rows[:, 1 + number]
        _grid(above, training.known[:, :, i, o].long(), title)
        _scores(middle, scores[:, :, i, o], float(scores.abs().max()))
        _grid(below, learned[:, :, i, o], "")
    alive = training.layer.dense_weight().detach() != 0
    _kernels(right.subplots(), alive, (8, 4), "all 16 x 8 kernels")
    return figure


def _scores(axes: Axes, scores: Tensor, most: float) -> None:
    _cells(axes, scores, SIGNED, (-most, most), 1.5)
    for row, line in enumerate(scores.tolist()):
        for column, score in enumerate(line):
            colour = LINE if abs(score) > most / 2 else DARK
            axes.text(column + 0.5, row + 0.5, f"{score:+.2f}", fontsize=6.5, color=colour,
                      ha="center", va="center")  # fmt: skip


def schedule() -> Figure:
    """Draw the schedule of `dsx.conv.ShapeSchedule` over that training.

    Returns:
        The figure.
    """
    training = imitate()
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    shares, strength = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.5, 1]})
    density = training.layer.spec.density
    assert density is not None
    for axes in (shares, strength):
        axes.axvspan(FROZEN_FROM, 1, color=DEAD, linewidth=0, clip_on=False)
        axes.set_xlim(0, 1)
        axes.set_xlabel("t, the completed fraction of the training", fontsize=9)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    curves = (
        (training.enabled, PLUS, "output channels with enabled shapes"),
        (training.live, MINUS, "live weights, d"),
    )
    for values, colour, word in curves:
        shares.plot(training.progress, values, color=colour, label=word, drawstyle="steps-post",
                    linewidth=1.8, clip_on=False)  # fmt: skip
    shares.axhline(density, color=DARK, linewidth=0.9, linestyle="--", clip_on=False,
                   label="d_target")  # fmt: skip
    shares.set_ylim(0, 1.02)
    shares.set_title("fraction of output channels and of weights", fontsize=9)
    shares.legend(loc="center right", fontsize=8, frameon=False, bbox_to_anchor=(1, 0.72))
    shares.text(0.75, 0.06, "frozen", ha="center", fontsize=9, color=DARK)
    strength.plot(training.progress, training.strength, color=PLUS, linewidth=1.8,
                  drawstyle="steps-post", clip_on=False)  # fmt: skip
    strength.set_ylim(0, 4.1)
    strength.set_title("strength of the regulariser, in units of L0 / M", fontsize=9)
    strength.text(0.75, 0.24, "frozen", ha="center", fontsize=9, color=DARK)
    return figure


def binary_basis() -> Figure:
    """Draw a binary basis, its maps over two channel splits, and outputs merged from them.

    Returns:
        The figure.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(61)
        conv = build(preset("slbf", k=4, splits=2), nn.Conv2d(4, 6, 3, padding=1, bias=False))
    assert isinstance(conv, BinaryConv2d)
    splits, basis, images = channel_splits(conv.frame, 2), conv.basis.detach(), _images()
    maps = F.conv2d(images[splits.channels], basis, padding=1)
    merged = maps[splits.which, conv.chosen].sum(1)
    assert torch.allclose(merged, conv(images[None])[0])
    most = float(torch.cat([maps.flatten(), merged.flatten()]).abs().max())

    figure = Figure(figsize=(9, 6), layout="constrained")
    cells = figure.add_gridspec(
        4, 7, width_ratios=[1, 1, 0.3] + [1] * 4, height_ratios=[0.5, 1, 1, 0.9]
    )
    words = "the basis, stored once:\nk = 4 filters of 2 channels,\n+1 blue, -1 orange"
    _label(figure.add_subplot(cells[0, :2]), words)
    for number in range(4):
        kernels = F.pad((basis[number] > 0).long(), (0, 1), value=2)
        axes = figure.add_subplot(cells[0, 3 + number])
        _grid(axes, torch.cat(list(kernels), 1)[:, :-1], f"B{number}", (MINUS, PLUS, LINE))
    for split in range(2):
        for place, channel in enumerate(splits.channels[split].tolist()):
            axes = figure.add_subplot(cells[1 + split, place])
            _image(axes, images[channel], f"x{channel}", 1)
            axes.set_ylabel(f"split {split}" if place == 0 else "", fontsize=10)
        for number in range(4):
            axes = figure.add_subplot(cells[1 + split, 3 + number])
            _image(axes, maps[split, number], f"z{split}{number}", most)
    below = cells[3, :].subgridspec(1, 6)
    for output, (first, second) in enumerate(conv.chosen.tolist()):
        axes = figure.add_subplot(below[output])
        _image(axes, merged[output], f"y{output} = z0{first} + z1{second}", most)
        axes.set_ylabel("outputs" if output == 0 else "", fontsize=10)
    return figure


def _images() -> Tensor:
    """Return four small images: a ring, a bar, a diagonal, a corner; (4, 8, 8) from 0 to 1."""
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    radius = ((row - 3.5) ** 2 + (column - 3.5) ** 2).sqrt()
    pictures = [
        (radius - 2.6).abs() < 0.8,
        (column - 3.5).abs() < 1,
        row == column,
        row + column < 6,
    ]
    return torch.stack(pictures).float()


PICTURES = {
    "kernel_shape.svg": kernel_shapes,
    "kernels.svg": kernels,
    "groups.svg": groups,
    "channel_stride.svg": channel_stride,
    "rigid_shapes.svg": rigid,
    "learned_shapes.svg": learned_shapes,
    "schedule.svg": schedule,
    "binary_basis.svg": binary_basis,
    "kernel.svg": kernel_blocks,
}


def render(figure: Figure) -> bytes:
    """Return a figure as reproducible SVG.

    Args:
        figure: Figure.
    """
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dsx", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def main() -> None:
    """Write all figures."""
    FOLDER.mkdir(exist_ok=True)
    # With several threads, sums are rounded differently, and training amplifies the difference.
    torch.set_num_threads(1)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_bytes(render(draw()))


if __name__ == "__main__":
    main()
