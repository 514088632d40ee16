"""Decomposition of a sparse convolution into sub-convolutions.

A sub-convolution computes a set of outputs that share a rectangle of kernel positions and read the
same number of channels, as one grouped nn.Conv2d. The sum of all sub-convolutions is the sparse
convolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.layout import Layout, bounding_box, crop


@dataclass(frozen=True, kw_only=True)
class SubConvolution:
    """A set of outputs that one ordinary convolution computes.

    Args:
        outputs: Indices of the outputs, (n,).
        channels: Input channels that each output reads, (n, c).
        box: Box of kernel positions within the whole kernel.
        weight: Weight on the box, (n, c, box height, box width).
    """

    outputs: Tensor
    channels: Tensor
    box: Box
    weight: Tensor


def by_support(layout: Layout, weight: Tensor) -> Iterator[tuple[Tensor, SubConvolution]]:
    """Decompose a convolution into sub-convolutions with one support each.

    Args:
        layout: Layout of the convolution.
        weight: Weight on the box of the layout, (Cout, gw, h, w), zero at dead positions.

    Yields:
        The support, (K, K) boolean, and a sub-convolution on its bounding box.
    """
    for number, support in enumerate(layout.supports):
        if not support.any():  # a learned shape may have no live position
            continue
        chosen = layout.which == number
        counts = chosen.sum(1)
        box = bounding_box(support)
        for count in torch.unique(counts).tolist():
            if count == 0:
                continue
            outputs = (counts == count).nonzero().flatten()
            columns = chosen[outputs].nonzero()[:, 1].reshape(len(outputs), count)
            selected = weight[outputs[:, None].to(weight.device), columns.to(weight.device)]
            yield (
                support,
                SubConvolution(
                    outputs=outputs,
                    channels=layout.channels[outputs[:, None], columns],
                    box=box,
                    weight=crop(selected, _relative(layout.box, box)),
                ),
            )


def _relative(outer: Box, box: Box) -> Box:
    return Box(
        top=box.top - outer.top, left=box.left - outer.left, height=box.height, width=box.width
    )


def rectangles(support: Tensor, part: SubConvolution) -> Iterator[SubConvolution]:
    """Decompose a sub-convolution so that no dead position remains.

    Args:
        support: Mask of live positions, (K, K) boolean.
        part: Sub-convolution on the bounding box of the support.

    Yields:
        The sub-convolution itself if the support is a rectangle, else one 1 x 1 sub-convolution
        per live position.
    """
    if crop(support, part.box).all():
        yield part
        return
    for row, column in support.nonzero().tolist():
        box = Box(top=row, left=column, height=1, width=1)
        yield SubConvolution(
            outputs=part.outputs,
            channels=part.channels,
            box=box,
            weight=crop(part.weight, _relative(part.box, box)),
        )


class SubConv2d(nn.Module):
    """A sub-convolution as an index_select and a grouped nn.Conv2d.

    Args:
        geometry: Geometry of the whole convolution.
        part: Sub-convolution to compute.

    Attributes:
        order: Indices of the outputs in the order in which they are computed.
    """

    select: Tensor | None

    def __init__(self, geometry: Geometry, part: SubConvolution) -> None:
        super().__init__()
        windows, owner = torch.unique(part.channels, dim=0, return_inverse=True)
        sizes = owner.bincount()
        if len(windows) > 1 and not bool((sizes == sizes[0]).all()):
            # Windows with different numbers of outputs: each output is a separate group.
            windows, owner = part.channels, torch.arange(len(part.channels))
        by_window = owner.argsort(stable=True)
        self.order = part.outputs[by_window]
        select = windows.flatten().to(part.weight.device)
        all_channels = torch.arange(geometry.in_channels, device=select.device)
        self.register_buffer("select", None if torch.equal(select, all_channels) else select)
        weight = part.weight[by_window.to(part.weight.device)]
        self.conv = geometry.conv2d(weight, None, part.box, groups=len(windows))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of the sub-convolution.

        Args:
            x: Batch of images, (B, Cin, H, W).

        Returns:
            The outputs in the order of `order`, (B, n, OH, OW).
        """
        x = x if self.select is None else x.index_select(1, self.select)
        out: Tensor = self.conv(x)
        return out


class SumOfSubConvolutions(nn.Module):
    """A convolution as the sum of its sub-convolutions.

    Args:
        pieces: Sub-convolutions; several, or none, may contribute to an output.
        bias: Bias, (Cout,), or None.
        geometry: Geometry of the whole convolution.
    """

    bias: Tensor | None
    outputs: Tensor | None

    def __init__(self, pieces: list[SubConv2d], bias: Tensor | None, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.pieces = nn.ModuleList(pieces)
        self.register_buffer("bias", None if bias is None else bias.detach()[:, None, None].clone())
        order = [piece.order for piece in pieces]
        self.register_buffer("outputs", torch.cat(order) if order else None)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        # Element by element, because torch.fx cannot unpack a shape.
        rows, columns = self.geometry.out_hw(input.shape[2], input.shape[3])
        shape = (input.shape[0], self.geometry.out_channels, rows, columns)
        if self.outputs is None:
            total = input.new_zeros(shape)
        else:
            # In the dtype of the sub-convolutions, which autocast may have lowered.
            parts = torch.cat([piece(input) for piece in self.pieces], 1)
            total = parts.new_zeros(shape).index_add(1, self.outputs, parts)
        return total if self.bias is None else total + self.bias


def counting_form(
    geometry: Geometry, layout: Layout, weight: Tensor, bias: Tensor | None
) -> nn.Module:
    """Build the counting form of a convolution: sub-convolutions over live positions only.

    Args:
        geometry: Geometry of the convolution.
        layout: Layout of the live weights.
        weight: Weight on the box of the layout, (Cout, gw, h, w).
        bias: Bias, (Cout,), or None.

    Returns:
        A module for which an operator counter counts live triples times output pixels.
    """
    modules = [
        SubConv2d(geometry, rectangle)
        for support, part in by_support(layout, weight)
        for rectangle in rectangles(support, part)
    ]
    return SumOfSubConvolutions(modules, bias, geometry).to(weight.device)
