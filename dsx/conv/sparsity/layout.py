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


def spread(weight: Tensor, channels: Tensor, in_channels: int) -> Tensor:
    """Expand a windowed weight to all input channels.

    Args:
        weight: Windowed weight, (Cout, gw, h, w).
        channels: Input channel of each weight column, (Cout, gw).
        in_channels: Number of input channels.

    Returns:
        The weight, (Cout, Cin, h, w), zero outside the windows.
    """
    return spread_by(weight, channels[:, :, None, None], in_channels)


def spread_by(weight: Tensor, index: Tensor, in_channels: int) -> Tensor:
    """Expand a windowed weight to all input channels, with an index of the same rank.

    Args:
        weight: Windowed weight, (Cout, gw, h, w).
        index: Input channel of each weight column, (Cout, gw, 1, 1).
        in_channels: Number of input channels.

    Returns:
        The weight, (Cout, Cin, h, w), zero outside the windows.
    """
    # Element by element, because torch.fx cannot unpack a shape.
    shape = (weight.shape[0], in_channels, weight.shape[2], weight.shape[3])
    dense = weight.new_zeros(shape)
    return dense.scatter(1, index.expand_as(weight), weight)


def spread_layout(values: Tensor, frame: Layout, geometry: Geometry) -> Tensor:
    """Expand values of a layout to all input channels and kernel positions.

    Args:
        values: Values of any dtype on the windows and the box, (Cout, gw, box height, box width).
        frame: Layout of the convolution.
        geometry: Geometry of the convolution.

    Returns:
        The values, (Cout, Cin, K, K), zero elsewhere.
    """
    if frame.groups > 1:
        values = spread(values, frame.channels.to(values.device), geometry.in_channels)
    dense = values.new_zeros(*values.shape[:2], *geometry.kernel_size)
    crop(dense, frame.box).copy_(values)
    return dense
