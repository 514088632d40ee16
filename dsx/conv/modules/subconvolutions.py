"""Cut a sparse convolution into ordinary ones.

A piece is a set of outputs that share a rectangle of kernel positions and read equally many
channels, so that one grouped nn.Conv2d computes it. The sum of the pieces is the convolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv.modules.layout import Layout, bounding_box, crop
from dsx.conv.sparsity.geometry import Box, Geometry


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Outputs computed by one ordinary convolution.

    Args:
        outputs: Their numbers, (n,).
        channels: The input channels that each of them reads, (n, c).
        box: The kernel positions, as a part of the whole kernel.
        weight: (n, c, box height, box width).
    """

    outputs: Tensor
    channels: Tensor
    box: Box
    weight: Tensor


def by_support(layout: Layout, weight: Tensor) -> Iterator[tuple[Tensor, Piece]]:
    """Cut into pieces of one support each.

    Args:
        layout: Of the convolution.
        weight: On the layout's box, (Cout, gw, h, w); dead positions hold zero.

    Yields:
        The support (K, K), and a piece on its bounding box.
    """
    for number, support in enumerate(layout.supports):
        if not support.any():  # a learned shape may have no position at all
            continue
        chosen = layout.which == number
        counts = chosen.sum(1)
        box = bounding_box(support)
        for count in torch.unique(counts).tolist():
            if count == 0:
                continue
            outputs = (counts == count).nonzero().flatten()
            columns = chosen[outputs].nonzero()[:, 1].reshape(len(outputs), count)
            own = weight[outputs[:, None].to(weight.device), columns.to(weight.device)]
            yield (
                support,
                Piece(
                    outputs=outputs,
                    channels=layout.channels[outputs[:, None], columns],
                    box=box,
                    weight=crop(own, _inside(layout.box, box)),
                ),
            )


def _inside(outer: Box, box: Box) -> Box:
    return Box(
        top=box.top - outer.top, left=box.left - outer.left, height=box.height, width=box.width
    )


def rectangles(support: Tensor, piece: Piece) -> Iterator[Piece]:
    """Cut a piece so that no dead position is left in it.

    Args:
        support: The live positions, (K, K) boolean.
        piece: On the support's bounding box.

    Yields:
        The piece itself if its support is a rectangle, else one 1 x 1 piece per position.
    """
    if crop(support, piece.box).all():
        yield piece
        return
    for row, column in support.nonzero().tolist():
        box = Box(top=row, left=column, height=1, width=1)
        yield Piece(
            outputs=piece.outputs,
            channels=piece.channels,
            box=box,
            weight=crop(piece.weight, _inside(piece.box, box)),
        )


class PieceConv(nn.Module):
    """One piece as an index_select and a grouped nn.Conv2d.

    Args:
        geometry: Of the whole convolution.
        piece: What to compute.

    Attributes:
        order: The output numbers in the order in which they come out.
    """

    select: Tensor | None

    def __init__(self, geometry: Geometry, piece: Piece) -> None:
        super().__init__()
        windows, owner = torch.unique(piece.channels, dim=0, return_inverse=True)
        sizes = owner.bincount()
        if len(windows) > 1 and not bool((sizes == sizes[0]).all()):
            # Windows with different numbers of outputs: each output is a group of its own.
            windows, owner = piece.channels, torch.arange(len(piece.channels))
        by_window = owner.argsort(stable=True)
        self.order = piece.outputs[by_window]
        select = windows.flatten().to(piece.weight.device)
        everything = torch.arange(geometry.in_channels, device=select.device)
        self.register_buffer("select", None if torch.equal(select, everything) else select)
        weight = piece.weight[by_window.to(piece.weight.device)]
        self.conv = geometry.conv2d(weight, None, piece.box, groups=len(windows))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the piece's outputs from (B, Cin, H, W), in the order of `order`."""
        x = x if self.select is None else x.index_select(1, self.select)
        out: Tensor = self.conv(x)
        return out


class SumOfPieces(nn.Module):
    """A convolution as the sum of its pieces.

    Args:
        pieces: An output may be in several, or in none.
        bias: (Cout,) or None.
        geometry: Of the whole convolution.
    """

    bias: Tensor | None
    outputs: Tensor | None

    def __init__(self, pieces: list[PieceConv], bias: Tensor | None, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.pieces = nn.ModuleList(pieces)
        self.register_buffer("bias", None if bias is None else bias.detach()[:, None, None].clone())
        order = [piece.order for piece in pieces]
        self.register_buffer("outputs", torch.cat(order) if order else None)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        # Number by number: torch.fx cannot unpack a shape.
        rows, columns = self.geometry.out_hw(input.shape[2], input.shape[3])
        shape = (input.shape[0], self.geometry.out_channels, rows, columns)
        if self.outputs is None:
            total = input.new_zeros(shape)
        else:
            # In the dtype that the pieces have, which autocast may have lowered.
            parts = torch.cat([piece(input) for piece in self.pieces], 1)
            total = parts.new_zeros(shape).index_add(1, self.outputs, parts)
        return total if self.bias is None else total + self.bias


def counting_form(
    geometry: Geometry, layout: Layout, weight: Tensor, bias: Tensor | None
) -> nn.Module:
    """Write a fixed-shape convolution over its live positions only.

    Args:
        geometry: Of the convolution.
        layout: Its live weights.
        weight: On the layout's box, (Cout, gw, h, w).
        bias: (Cout,) or None.

    Returns:
        A module that an operator counter counts as live triples times output pixels.
    """
    pieces = [
        PieceConv(geometry, part)
        for support, piece in by_support(layout, weight)
        for part in rectangles(support, piece)
    ]
    return SumOfPieces(pieces, bias, geometry).to(weight.device)
