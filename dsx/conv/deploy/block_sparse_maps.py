"""Block-sparse maps: maps and merge as in `maps_merge`, by the compiled kernel of dsx."""

import torch
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.deploy.block_sparse import plan_for
from dsx.conv.deploy.maps_merge import filters_in_use
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.basis import basis_count, channel_splits
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.native.kernel import is_supported, missing
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.native.plan import MOST_PADDING
from dsx.conv.sparsity.layout import crop


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to a binary basis if sharing maps takes fewer multiply-adds.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply or the kernels cannot compute it.
    """
    if not isinstance(conv, BinaryConv2d) or not is_supported(conv.geometry):
        return None
    basis = conv.basis
    if not basis_count(conv.spec, conv.geometry).by_maps or missing(basis.dtype, basis.device):
        return None
    splits = channel_splits(conv.frame, conv.spec.splits)
    filters, which = filters_in_use(conv)
    weight, live = _maps(conv, filters, splits.channels)
    plan = plan_for(live, conv.geometry)
    if plan.padding > MOST_PADDING:
        return None
    merge = splits.which * len(filters) + which
    return BlockSparseConv2d(plan, weight, conv.bias, conv.geometry, merge=merge, scale=conv.scale)


def _maps(conv: BinaryConv2d, filters: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight of all maps, (splits * filters, Cin, K, K), and its live positions."""
    shape = (len(channels), len(filters), conv.in_channels, *conv.kernel_size)
    weight = filters.new_zeros(shape)
    live = torch.zeros(shape, dtype=torch.bool)
    for number, of_split in enumerate(channels):
        crop(weight[number], conv.frame.box)[:, of_split] = filters
        crop(live[number], conv.frame.box)[:, of_split] = conv.frame.positions
    return weight.flatten(0, 1), live.flatten(0, 1)


FORM = Form(build=build, native=True)
