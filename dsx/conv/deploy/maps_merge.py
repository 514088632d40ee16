"""Maps and merge: each basis filter applied once to each channel split, then sums of these maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.basis import basis_count, channel_splits
from dsx.conv.modules.binary import BinaryConv2d


class MapsMerge(nn.Module):
    """One convolution that treats the channel splits as images, and an embedding bag that sums.

    Args:
        conv: Convolution with a binary basis.
    """

    select: Tensor | None
    maps_of: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, conv: BinaryConv2d) -> None:
        super().__init__()
        splits, geometry = channel_splits(conv.frame, conv.spec.splits), conv.geometry
        filters, which = filters_in_use(conv)
        self.splits, self.width = splits.channels.shape
        self.filters = len(filters)
        self.geometry = geometry
        self.conv = geometry.conv2d(filters, None, conv.frame.box)
        select = splits.channels.flatten()
        all_channels = torch.arange(geometry.in_channels)
        device = filters.device
        in_order = torch.equal(select, all_channels)
        self.register_buffer("select", None if in_order else select.to(device))
        self.register_buffer("maps_of", (splits.which * self.filters + which).to(device))
        ones = filters.new_ones(geometry.out_channels, 1, 1)
        scale, bias = conv.scale, conv.bias
        self.register_buffer("scale", ones if scale is None else scale.detach()[:, None, None])
        self.register_buffer("bias", 0 * ones if bias is None else bias.detach()[:, None, None])

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        batch, height, width = input.shape[0], input.shape[2], input.shape[3]
        x = input if self.select is None else input.index_select(1, self.select)
        maps = self.conv(x.reshape(batch * self.splits, self.width, height, width))
        rows, columns = self.geometry.out_hw(height, width)
        per_image = self.splits * self.filters
        table = maps.reshape(batch * per_image, rows * columns)
        # A cumulative sum, because torch.fx cannot trace torch.arange of a batch size.
        image = input.new_ones((batch, 1, 1), dtype=torch.long).cumsum(0) - 1
        indices = (self.maps_of + image * per_image).flatten(0, 1)
        out = F.embedding_bag(indices, table, mode="sum")
        out = out.reshape(batch, self.geometry.out_channels, rows, columns)
        return torch.addcmul(self.bias, out, self.scale)


def filters_in_use(conv: BinaryConv2d) -> tuple[Tensor, Tensor]:
    """Return the distinct filters in use, each restricted to its support.

    Args:
        conv: Convolution with a binary basis.

    Returns:
        The filters (n, gw / splits, height, width), and the index of the filter of each output
        and split, (Cout, splits).
    """
    splits, outputs = conv.spec.splits, conv.out_channels
    supports = conv.frame.which.reshape(outputs * splits, -1)
    patterns, pattern = torch.unique(supports, dim=0, return_inverse=True)
    pairs = torch.stack([conv.chosen.flatten().cpu(), pattern])
    used, which = torch.unique(pairs, dim=1, return_inverse=True)
    live = conv.frame.live.reshape(outputs * splits, -1, *conv.basis.shape[2:])
    first = torch.stack([(pattern == number).nonzero()[0, 0] for number in range(len(patterns))])
    alive = live[first][used[1]]
    basis = conv.basis.detach()
    filters = basis[used[0].to(basis.device)] * alive.to(basis.device)
    return filters, which.reshape(outputs, splits)


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to a binary basis if sharing maps takes fewer multiply-adds.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, BinaryConv2d):
        return None
    return MapsMerge(conv) if basis_count(conv.spec, conv.geometry).by_maps else None


FORM = Form(build=build)
