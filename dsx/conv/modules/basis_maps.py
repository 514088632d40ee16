"""Basis maps, then merge: a stacked binary convolution over its live positions only."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dsx.conv.modules.basis import stacking
from dsx.conv.modules.layout import Layout
from dsx.conv.sparsity.geometry import Box, Geometry


class _Maps(nn.Module):
    """Every basis filter at one kernel position, over some columns of every piece.

    Args:
        geometry: Of the whole convolution.
        box: The position.
        weight: (k, columns, 1, 1).
        channels: The channel behind each column of each piece, (pieces, columns).
        source: The map (piece * k + filter) that is added ...
        target: ... to this output.
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
        self.pieces, self.columns = channels.shape
        for name, value in (
            ("channels", channels.flatten()), ("source", source), ("target", target),
        ):  # fmt: skip
            self.register_buffer(name, value.to(weight.device))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is added to the outputs (B, n, OH, OW), and the numbers of these, (n,)."""
        batch, _, *image = x.shape
        images = x.index_select(1, self.channels).reshape(batch * self.pieces, self.columns, *image)
        maps = self.conv(images)
        shape = (batch, self.pieces * maps.shape[1], *maps.shape[2:])
        return maps.reshape(shape).index_select(1, self.source), self.target


class BasisMaps(nn.Module):
    """The counting form where maps and merge are the cheaper way.

    Args:
        geometry: Of the convolution.
        frame: Its layout.
        basis: Shared filters, (k, gw / splits, box height, box width).
        chosen: The filter of each output and piece, (Cout, splits).
        scale: (Cout,) or None.
        bias: (Cout,) or None.

    Attributes:
        merges: Additions per output pixel that no operator counter sees.
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
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        out_hw = self.geometry.out_hw(input.shape[2], input.shape[3])
        total = input.new_zeros(input.shape[0], self.geometry.out_channels, *out_hw)
        for part in self.parts:
            maps, target = part(input)
            # Autocast may have lowered the maps; their sum stays as it is.
            total = total.index_add(1, target, maps.to(total.dtype))
        return total * self.scale[:, None, None] + self.bias[:, None, None]


def _parts(geometry: Geometry, frame: Layout, basis: Tensor, chosen: Tensor) -> Iterator[_Maps]:
    """Cut into kernel positions, and these into columns that are alive for the same outputs."""
    (k, width), (outputs, splits) = basis.shape[:2], chosen.shape
    stack = stacking(frame, splits)
    map_number = stack.which * k + chosen.to(stack.which.device)
    live = frame.live.reshape(outputs, splits, width, *basis.shape[2:])
    for row, column in frame.positions.nonzero().tolist():
        alive = live[:, :, :, row, column]
        patterns, pattern = torch.unique(alive, dim=2, return_inverse=True)
        box = Box(top=frame.box.top + row, left=frame.box.left + column, height=1, width=1)
        for number in range(patterns.shape[2]):
            columns = (pattern == number).nonzero().flatten()
            target, place = patterns[:, :, number].nonzero(as_tuple=True)
            weight = basis[:, columns.to(basis.device), row, column][:, :, None, None]
            source = map_number[target, place]
            yield _Maps(geometry, box, weight, stack.pieces[:, columns], source, target)
