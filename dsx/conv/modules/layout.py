"""Layout: which weights of a fixed-shape convolution are alive, and what each one reads."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.shapes import shape_and_number
from dsx.conv.sparsity.window import integer_step, window_channels
from dsx.conv.spec.spec import ConvSpec


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The channel window and the kernel shape of a spec on one slot.

    Args:
        groups: Cin / gw.
        step: Channels that the window slides from one output to the next; None for blocks.
        channels: The input channel behind each weight column, (Cout, gw).
        supports: The kernel shape's supports, (n, rows, columns) boolean.
        which: The support of each weight column, (Cout, gw).
        box: The bounding box of all supports.
    """

    groups: int
    step: int | None
    channels: Tensor
    supports: Tensor
    which: Tensor
    box: Box

    @property
    def live(self) -> Tensor:
        """Whether each weight in the box is alive, (Cout, gw, box height, box width) boolean."""
        return crop(self.supports, self.box)[self.which]

    @property
    def positions(self) -> Tensor:
        """Whether any support has a position of the box, (box height, box width) boolean."""
        return crop(self.supports.any(0), self.box)

    @property
    def live_count(self) -> int:
        """The number of live (output, channel, position) triples."""
        return int(self.supports.sum((1, 2))[self.which].sum())


def layout(spec: ConvSpec, geometry: Geometry) -> Layout:
    """Lay out a fixed kernel shape over a channel window.

    Args:
        spec: A canonical spec with a fixed kernel shape.
        geometry: Of the convolution that has the dials.

    Returns:
        The layout.
    """
    groups, stride = int(spec.groups), spec.channel_stride or "block"
    channels = window_channels(geometry.in_channels, geometry.out_channels, groups, stride)
    outputs = torch.arange(geometry.out_channels)[:, None]
    if spec.kernel_shape == "full":
        supports = torch.ones(1, *geometry.kernel_size, dtype=torch.bool)
        which = torch.zeros_like(channels)
    else:
        shape, number = shape_and_number(spec.kernel_shape)
        supports = shape.supports(geometry.kernel_size[0])
        which = shape.which(outputs, channels, len(supports), number)
    return Layout(
        groups=groups,
        step=None if stride == "block" else integer_step(stride, channels.shape[1]),
        channels=channels,
        supports=supports,
        which=which,
        box=bounding_box(supports.any(0)),
    )


def bounding_box(support: Tensor) -> Box:
    """Give the smallest box around the live positions of one kernel, (rows, columns) boolean."""
    rows, columns = support.any(1).nonzero(), support.any(0).nonzero()
    top, left = int(rows[0]), int(columns[0])
    return Box(
        top=top, left=left, height=int(rows[-1]) - top + 1, width=int(columns[-1]) - left + 1
    )


def crop(kernels: Tensor, box: Box) -> Tensor:
    """Cut the box out of kernels (..., rows, columns)."""
    return kernels[..., box.top : box.top + box.height, box.left : box.left + box.width]
