"""The stacking of binary filters: which piece of channels each one reads, and what that costs."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from dsx.conv.modules.layout import Layout, layout
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.spec.spec import ConvSpec


@dataclass(frozen=True, kw_only=True)
class Stacking:
    """The distinct pieces of channels that windows are made of.

    Args:
        pieces: Their channels, (pieces, gw / splits).
        which: The piece that each output reads at each place, (Cout, splits).
    """

    pieces: Tensor
    which: Tensor


def stacking(frame: Layout, splits: int) -> Stacking:
    """Cut every window into equal pieces, and find those that outputs have in common.

    Args:
        frame: The channel window of each output.
        splits: Pieces of a window.

    Returns:
        The stacking.
    """
    outputs, width = frame.channels.shape
    cut = frame.channels.reshape(outputs * splits, width // splits)
    pieces, which = torch.unique(cut, dim=0, return_inverse=True)
    return Stacking(pieces=pieces, which=which.reshape(outputs, splits))


@dataclass(frozen=True, kw_only=True)
class BasisCount:
    """What a binary basis stores and computes.

    Args:
        entries: Entries of +1 and -1 in the basis.
        selection_bits: Bits that say which filter each output takes for each piece.
        dense: Multiply-adds per output pixel with the stacked kernel written out.
        maps: Multiply-adds per output pixel of every basis filter over every piece.
        merges: Additions per output pixel that put those maps together.
    """

    entries: int
    selection_bits: int
    dense: int
    maps: int
    merges: int

    @property
    def by_maps(self) -> bool:
        """Whether maps and merge take fewer multiply-adds than the kernel written out."""
        return self.maps + self.merges < self.dense

    @property
    def flops(self) -> int:
        """Multiply-adds per output pixel of the cheaper way."""
        return min(self.dense, self.maps + self.merges)


@functools.lru_cache(maxsize=65536)
def basis_count(spec: ConvSpec, geometry: Geometry) -> BasisCount:
    """Count what a binary basis stores and computes, by closed form.

    Args:
        spec: A canonical spec with a binary basis, not separable.
        geometry: Of the convolution that has the dials.

    Returns:
        The count.

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
        maps=entries * len(stacking(frame, spec.splits).pieces),
        merges=geometry.out_channels * (spec.splits - 1),
    )
