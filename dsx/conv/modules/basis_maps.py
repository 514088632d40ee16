"""The counting form of a binary basis: basis maps over live positions only, then merges."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dsx.conv.modules.basis import channel_splits
from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.layout import Layout


class _Maps(nn.Module):
    """All basis filters at one kernel position, over some columns of all channel splits.

    Args:
        geometry: Geometry of the whole convolution.
        box: Kernel position as a 1 x 1 box.
        weight: Entries of the basis filters, (k, columns, 1, 1).
        channels: Input channel of each column of each split, (splits, columns).
        source: Index of each map to add, split * k + filter, (n,).
        target: Output to which each map is added, (n,).
    """

    channels: Tensor
    source: Tensor
    target: Tensor

    def __init__(
        self,
        geometry: Geometry,
        box: Box,
        weight: Tensor,
        channels: Tensor,
        source: Tensor,
        target: Tensor,
    ) -> None:
        super().__init__()
        self.conv = geometry.conv2d(weight, None, box)
        self.splits, self.columns = channels.shape
        for name, value in (
            ("channels", channels.flatten()), ("source", source), ("target", target),
        ):  # fmt: skip
            self.register_buffer(name, value.to(weight.device))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps to add (B, n, OH, OW), and the index of the output of each, (n,)."""
        batch, _, *image = x.shape
        images = x.index_select(1, self.channels).reshape(batch * self.splits, self.columns, *image)
        maps = self.conv(images)
        shape = (batch, self.splits * maps.shape[1], *maps.shape[2:])
        return maps.reshape(shape).index_select(1, self.source), self.target


class BasisMaps(nn.Module):
    """The counting form for which maps and merges take fewer multiply-adds.

    Args:
        geometry: Geometry of the convolution.
        frame: Layout of the convolution.
        basis: Shared filters, (k, gw / splits, box height, box width).
        chosen: Index of the basis filter of each output and split, (Cout, splits).
        scale: Scale of each output, (Cout,), or None.
        bias: Bias, (Cout,), or None.

    Attributes:
        merges: Additions per output pixel, which operator counters do not count.
    """

    scale: Tensor
    bias: Tensor

    def __init__(
        self,
        geometry: Geometry,
        frame: Layout,
        basis: Tensor,
        chosen: Tensor,
        scale: Tensor | None,
        bias: Tensor | None,
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.merges = chosen.shape[0] * (chosen.shape[1] - 1)
        self.parts = nn.ModuleList(_parts(geometry, frame, basis.detach(), chosen))
        ones = basis.new_ones(geometry.out_channels)
        self.register_buffer("scale", (ones if scale is None else scale).detach().clone())
        self.register_buffer("bias", (0 * ones if bias is None else bias).detach().clone())

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        out_hw = self.geometry.out_hw(input.shape[2], input.shape[3])
        total = input.new_zeros(input.shape[0], self.geometry.out_channels, *out_hw)
        for part in self.parts:
            maps, target = part(input)
            # Autocast may have lowered the dtype of the maps, but not that of the sum.
            total = total.index_add(1, target, maps.to(total.dtype))
        return total * self.scale[:, None, None] + self.bias[:, None, None]


def _parts(geometry: Geometry, frame: Layout, basis: Tensor, chosen: Tensor) -> Iterator[_Maps]:
    """Split by kernel position, and by groups of columns that are live for the same outputs."""
    (k, width), (outputs, splits) = basis.shape[:2], chosen.shape
    distinct = channel_splits(frame, splits)
    map_index = distinct.which * k + chosen.to(distinct.which.device)
    live = frame.live.reshape(outputs, splits, width, *basis.shape[2:])
    for row, column in frame.positions.nonzero().tolist():
        alive = live[:, :, :, row, column]
        patterns, pattern = torch.unique(alive, dim=2, return_inverse=True)
        box = Box(top=frame.box.top + row, left=frame.box.left + column, height=1, width=1)
        for number in range(patterns.shape[2]):
            columns = (pattern == number).nonzero().flatten()
            target, split = patterns[:, :, number].nonzero(as_tuple=True)
            weight = basis[:, columns.to(basis.device), row, column][:, :, None, None]
            source = map_index[target, split]
            yield _Maps(geometry, box, weight, distinct.channels[:, columns], source, target)
