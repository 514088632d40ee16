"""Maps, then merge: every binary filter over every piece of channels once, then sums of those."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.basis import basis_count, stacking
from dsx.conv.modules.binary import BinaryConv2d


class MapsMerge(nn.Module):
    """One convolution over all pieces as if they were images, and a table look-up that adds.

    Args:
        conv: A convolution with a binary basis.
    """

    select: Tensor | None
    maps_of: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, conv: BinaryConv2d) -> None:
        super().__init__()
        stack, geometry = stacking(conv.frame, conv.spec.splits), conv.geometry
        filters, which = _filters(conv)
        self.pieces, self.width = stack.pieces.shape
        self.filters = len(filters)
        self.geometry = geometry
        self.conv = geometry.conv2d(filters, None, conv.frame.box)
        select = stack.pieces.flatten()
        everything = torch.arange(geometry.in_channels)
        device = filters.device
        plain = torch.equal(select, everything)
        self.register_buffer("select", None if plain else select.to(device))
        self.register_buffer("maps_of", (stack.which * self.filters + which).to(device))
        ones = filters.new_ones(geometry.out_channels, 1, 1)
        scale, bias = conv.scale, conv.bias
        self.register_buffer("scale", ones if scale is None else scale.detach()[:, None, None])
        self.register_buffer("bias", 0 * ones if bias is None else bias.detach()[:, None, None])

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        batch, height, width = input.shape[0], input.shape[2], input.shape[3]
        x = input if self.select is None else input.index_select(1, self.select)
        maps = self.conv(x.reshape(batch * self.pieces, self.width, height, width))
        rows, columns = self.geometry.out_hw(height, width)
        each = self.pieces * self.filters
        table = maps.reshape(batch * each, rows * columns)
        # Counted up in whole numbers: torch.fx cannot follow torch.arange of a batch size.
        image = input.new_ones((batch, 1, 1), dtype=torch.long).cumsum(0) - 1
        numbers = (self.maps_of + image * each).flatten(0, 1)
        out = F.embedding_bag(numbers, table, mode="sum")
        out = out.reshape(batch, self.geometry.out_channels, rows, columns)
        return torch.addcmul(self.bias, out, self.scale)


def _filters(conv: BinaryConv2d) -> tuple[Tensor, Tensor]:
    """Find the different filters that outputs really take, each on its own support.

    Returns:
        Filters (n, gw / splits, height, width), and their numbers, (Cout, splits).
    """
    splits, outputs = conv.spec.splits, conv.out_channels
    supports = conv.frame.which.reshape(outputs * splits, -1)
    patterns, pattern = torch.unique(supports, dim=0, return_inverse=True)
    pairs = torch.stack([conv.chosen.flatten().cpu(), pattern])
    taken, which = torch.unique(pairs, dim=1, return_inverse=True)
    live = conv.frame.live.reshape(outputs * splits, -1, *conv.basis.shape[2:])
    first = torch.stack([(pattern == number).nonzero()[0, 0] for number in range(len(patterns))])
    alive = live[first][taken[1]]
    basis = conv.basis.detach()
    filters = basis[taken[0].to(basis.device)] * alive.to(basis.device)
    return filters, which.reshape(outputs, splits)


def build(conv: DsxConv) -> nn.Module | None:
    """Share the maps; applies to a binary basis where that takes fewer multiply-adds."""
    if not isinstance(conv, BinaryConv2d):
        return None
    return MapsMerge(conv) if basis_count(conv.spec, conv.geometry).by_maps else None


FORM = Form(build=build)
