"""Layout: the live weights of a sparse convolution, and the input channel of each weight."""

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
        groups: Number of groups, Cin / gw.
        step: Number of channels by which the window slides from one output to the next; None for
            groups in blocks.
        channels: Input channel of each weight column, (Cout, gw).
        supports: Supports of the kernel shape, (n, rows, columns) boolean.
        which: Index of the support of each weight column, (Cout, gw).
        box: Bounding box of all supports.
    """

    groups: int
    step: int | None
    channels: Tensor
    supports: Tensor
    which: Tensor
    box: Box

    @property
    def live(self) -> Tensor:
        """The mask of live weights on the box, (Cout, gw, box height, box width) boolean."""
        return crop(self.supports, self.box)[self.which]

    @property
    def positions(self) -> Tensor:
        """The mask of positions in any support, (box height, box width) boolean."""
        return crop(self.supports.any(0), self.box)

    @property
    def live_count(self) -> int:
        """The number of live (output, channel, position) triples."""
        return int(self.supports.sum((1, 2))[self.which].sum())


def layout(spec: ConvSpec, geometry: Geometry) -> Layout:
    """Compute the layout of a fixed kernel shape over a channel window.

    Args:
        spec: Canonical spec with a fixed kernel shape.
        geometry: Geometry of the convolution.

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
    """Compute the smallest box that contains all live positions of a kernel.

    Args:
        support: Mask of live positions, (rows, columns) boolean, with at least one live position.

    Returns:
        The box.
    """
    rows, columns = support.any(1).nonzero(), support.any(0).nonzero()
    top, left = int(rows[0]), int(columns[0])
    return Box(
        top=top, left=left, height=int(rows[-1]) - top + 1, width=int(columns[-1]) - left + 1
    )


def crop(kernels: Tensor, box: Box) -> Tensor:
    """Crop kernels to a box.

    Args:
        kernels: Kernels, (..., rows, columns).
        box: Box to crop to.

    Returns:
        A view of the kernels, (..., box height, box width).
    """
    return kernels[..., box.top : box.top + box.height, box.left : box.left + box.width]
