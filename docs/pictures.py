"""Draw the pictures of dials.md with dsx's own code, so that they show what dsx computes.

python docs/pictures.py
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from dsx.conv import window_channels
from dsx.conv.shapes import Shape, shape_and_number, shape_words
from dsx.lookup import find

FOLDER = Path(__file__).parent / "pictures"
LIVE, DEAD, LINE = "#0072b2", "#eeeeee", "white"
MINUS, PLUS = "#d55e00", "#0072b2"


def _grid(axes: Axes, cells: Tensor, title: str, colours: Sequence[str] = (DEAD, LIVE)) -> None:
    """Draw a matrix of small whole numbers as coloured squares."""
    axes.pcolormesh(
        cells.numpy(),
        cmap=ListedColormap(list(colours)),
        vmin=0,
        vmax=len(colours) - 1,
        edgecolors=LINE,
        linewidth=1.5,
        # A clip path would be named after its address in memory, another one in each run.
        clip_on=False,
    )
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=9)


def kernel_shapes() -> Figure:
    """Draw every fixed shape of the folder at K = 3 and K = 5: one square per support."""
    words = [word for word in shape_words() if not find(Shape, word.partition("<")[0]).numbered]
    words.sort(key=_plainness)
    figure = Figure(figsize=(9, 1.05 * len(words)), layout="constrained")
    rows = figure.subfigures(len(words), 1, squeeze=False)[:, 0]
    for row, word in zip(rows, words, strict=True):
        shape, _ = shape_and_number(word)
        panels = row.subplots(1, 9, gridspec_kw={"width_ratios": [1.4] + [1] * 8})
        for panel in panels:
            panel.axis("off")
        panels[0].text(1, 0.5, word, ha="right", va="center", fontsize=11)
        for side, first in ((3, 1), (5, 5)):
            for number, support in enumerate(shape.supports(side)):
                panels[first + number].axis("on")
                title = f"o mod {len(shape.supports(side))} = {number}"
                turning = len(shape.supports(side)) > 1
                _grid(panels[first + number], support.long(), title if turning else "")
    return figure


def _plainness(word: str) -> tuple[int, int, str]:
    supports = find(Shape, word).supports(3)
    return len(supports), int(supports.sum()), word


def groups() -> Figure:
    """Draw which of 8 channels each of 8 outputs reads, for block groups."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, number in zip(figure.subplots(1, 4), (1, 2, 4, 8), strict=True):
        _grid(axes, _reads(8, 8, number, "block"), f"groups = {number if number < 8 else 'all'}")
        axes.set_xlabel("input channel", fontsize=8)
        axes.set_ylabel("output channel", fontsize=8)
    return figure


def channel_stride() -> Figure:
    """Draw which of 8 channels each of 8 outputs reads as the window of 4 slides."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    strides: tuple[float | str, ...] = ("block", 0.25, 0.5, 1.0)
    for axes, stride in zip(figure.subplots(1, 4), strides, strict=True):
        _grid(axes, _reads(8, 8, 2, stride), f"groups = 2, channel_stride = {stride}")
        axes.set_xlabel("input channel", fontsize=8)
        axes.set_ylabel("output channel", fontsize=8)
    return figure


def binary_basis() -> Figure:
    """Draw filters stacked from k = 4 shared filters of +1 and -1, two splits."""
    generator = torch.Generator().manual_seed(4)
    basis = torch.randint(0, 2, (4, 3, 3), generator=generator)
    chosen = torch.randint(0, 4, (3, 2), generator=generator)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    above.suptitle("the basis: 4 filters of +1 (blue) and -1 (orange), stored once", fontsize=10)
    for number, axes in enumerate(above.subplots(1, 4)):
        _grid(axes, basis[number], f"B{number}", (MINUS, PLUS))
    below.suptitle("each output stores which two it is stacked from", fontsize=10)
    panels = below.subplots(1, 6)
    for number, axes in enumerate(panels):
        output, piece = divmod(number, 2)
        index = int(chosen[output, piece])
        _grid(axes, basis[index], f"output {output}, piece {piece}: B{index}", (MINUS, PLUS))
    return figure


def _reads(inputs: int, outputs: int, number: int, stride: float | str) -> Tensor:
    channels = window_channels(inputs, outputs, number, stride)
    return torch.zeros(outputs, inputs, dtype=torch.long).scatter(1, channels, 1)


PICTURES = {
    "kernel_shape.svg": kernel_shapes,
    "groups.svg": groups,
    "channel_stride.svg": channel_stride,
    "binary_basis.svg": binary_basis,
}


def render(figure: Figure) -> bytes:
    """Write a figure as SVG, byte for byte the same every time."""
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dsx", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_bytes(render(draw()))


if __name__ == "__main__":
    main()
