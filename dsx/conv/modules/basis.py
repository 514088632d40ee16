"""Channel splits of a binary basis, and what the basis stores and computes."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout
from dsx.conv.sparsity.window import window_channels
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
    return _split(frame.channels, splits)


def _split(windows: Tensor, splits: int) -> ChannelSplits:
    outputs, width = windows.shape
    cut = windows.reshape(outputs * splits, width // splits)
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


class _Window(NamedTuple):
    """Counts of the window and the kernel shape of a binary basis."""

    positions: int
    split_width: int
    splits: int
    live_count: int


@functools.lru_cache(maxsize=65536)
def _distinct_splits(
    in_channels: int, out_channels: int, groups: int, stride: float | str, splits: int
) -> int:
    channels = window_channels(in_channels, out_channels, groups, stride)
    return len(_split(channels, splits).channels)


@functools.lru_cache(maxsize=65536)
def _window(
    shape: str, groups: int | str, stride: float | str | None, splits: int, geometry: Geometry
) -> _Window:
    frame = layout(ConvSpec(kernel_shape=shape, groups=groups, channel_stride=stride), geometry)
    return _Window(
        positions=int(frame.positions.sum()),
        split_width=frame.channels.shape[1] // splits,
        splits=_distinct_splits(
            geometry.in_channels, geometry.out_channels, int(groups), stride or "block", splits
        ),
        live_count=frame.live_count,
    )


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
    # Of many specs that are counted for a search space, most differ in the size of the basis only.
    window = _window(spec.kernel_shape, spec.groups, spec.channel_stride, spec.splits, geometry)
    entries = spec.binary_basis * window.split_width * window.positions
    chosen = geometry.out_channels * spec.splits
    return BasisCount(
        entries=entries,
        selection_bits=chosen * (spec.binary_basis - 1).bit_length(),
        dense=window.live_count,
        maps=entries * window.splits,
        merges=geometry.out_channels * (spec.splits - 1),
    )
