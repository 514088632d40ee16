"""Channel splits of a binary basis, and what the basis stores and computes."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout
from dsx.conv.spec.spec import ConvSpec


@dataclass(frozen=True, kw_only=True)
class ChannelSplits:
    """The distinct channel splits of all windows.

    Args:
        channels: Channels of each distinct split, (n, gw / splits).
        which: Index of the distinct split for each split of an output, (Cout, splits).
    """

    channels: Tensor
    which: Tensor


def channel_splits(frame: Layout, splits: int) -> ChannelSplits:
    """Divide each channel window into equal splits, and find the distinct ones.

    Args:
        frame: Layout with the channel window of each output.
        splits: Number of splits of a window.

    Returns:
        The distinct channel splits.
    """
    outputs, width = frame.channels.shape
    cut = frame.channels.reshape(outputs * splits, width // splits)
    channels, which = torch.unique(cut, dim=0, return_inverse=True)
    return ChannelSplits(channels=channels, which=which.reshape(outputs, splits))


@dataclass(frozen=True, kw_only=True)
class BasisCount:
    """The storage and the computation of a binary basis.

    Args:
        entries: Number of entries of the basis, each +1 or -1.
        selection_bits: Bits that encode the basis filter of each output and split.
        dense: Multiply-adds per output pixel with the assembled kernel.
        maps: Multiply-adds per output pixel of all basis filters over all distinct splits.
        merges: Additions per output pixel that sum the maps.
    """

    entries: int
    selection_bits: int
    dense: int
    maps: int
    merges: int

    @property
    def by_maps(self) -> bool:
        """Whether maps and merges take fewer multiply-adds than the assembled kernel."""
        return self.maps + self.merges < self.dense

    @property
    def flops(self) -> int:
        """Multiply-adds per output pixel of the cheaper of the two methods."""
        return min(self.dense, self.maps + self.merges)


@functools.lru_cache(maxsize=65536)
def basis_count(spec: ConvSpec, geometry: Geometry) -> BasisCount:
    """Count the storage and the computation of a binary basis in closed form.

    Args:
        spec: Canonical spec with a binary basis, not separable.
        geometry: Geometry of the convolution.

    Returns:
        The counts.

    Source:
        Stacked low-dimensional binary filters (arXiv 2010.02778).
    """
    frame = layout(spec, geometry)
    positions = int(frame.positions.sum())
    width = frame.channels.shape[1] // spec.splits
    entries = spec.binary_basis * width * positions
    chosen = geometry.out_channels * spec.splits
    return BasisCount(
        entries=entries,
        selection_bits=chosen * (spec.binary_basis - 1).bit_length(),
        dense=frame.live_count,
        maps=entries * len(channel_splits(frame, spec.splits).channels),
        merges=geometry.out_channels * (spec.splits - 1),
    )
