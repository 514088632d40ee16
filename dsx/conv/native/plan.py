"""Planning of block-sparse convolutions: from a mask of live weights to the lists of the kernel.

The layout of a plan is described in source/interface.h.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsx.conv.sparsity.geometry import Geometry

FORMAT = 1
"""Number of the format of a table, as in source/interface.h."""

OTHER_FORMAT = "a plan was made by another version of dsx (deploy the network again)"

ROWS = 8
"""Number of outputs in a block."""

MOST_PADDING = 1.5
"""Ratio of packed to live weights from which the kernels waste their advantage, as for depthwise
convolutions."""

_SEGMENT_ROWS = (range(8), range(4), range(4, 8), *(range(n, n + 2) for n in (0, 2, 4, 6)))
_CYCLES = {8: 12.0, 4: 6.3, 2: 3.6}
"""Cycles of one entry for a full tile, by the number of rows; measured with AVX-512."""
_SEGMENT_CYCLES = 4.0
"""Cycles to start a segment."""

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The lists of a block-sparse convolution.

    Args:
        table: The plan as the kernel reads it, int32.
        source: Index of each packed weight in the flattened weight (Cout, Cin, KH, KW); -1 for
            padding. int32.
        live: Number of live weights.
    """

    table: Tensor
    source: Tensor
    live: int

    @property
    def padding(self) -> float:
        """The number of packed weights over the number of live weights."""
        return len(self.source) / max(1, self.live)

    def with_stored(self, index: Numbers) -> "Plan":
        """Return the same plan for weights that are stored in another order.

        Args:
            index: Index of each weight of the flattened (Cout, Cin, KH, KW) in the stored weight.

        Returns:
            The plan.
        """
        source = self.source.numpy()
        stored = np.where(source >= 0, index[source.clip(0)] if index.size else source, -1)
        return replace(self, source=torch.from_numpy(stored.astype(np.int32)))


def make_plan(live: Mask, geometry: Geometry) -> Plan:
    """Plan a convolution.

    Args:
        live: Mask of the live weights, (Cout, Cin, KH, KW); with KH = KW = 1 and a geometry with
            a larger kernel, a depthwise convolution of that geometry comes first.
        geometry: Kernel size, stride, padding with zeros and dilation.

    Returns:
        The plan.
    """
    outputs, inputs, *kernel = live.shape
    # Columns sorted by kernel position, then by channel.
    mask = live.transpose(0, 2, 3, 1).reshape(outputs, -1)
    columns = np.flatnonzero(_used(mask, inputs, tuple(kernel) != geometry.kernel_size))
    tap_of, channel_of = columns // inputs, columns % inputs
    supports, support_of = _distinct(mask[:, columns])
    rows = np.full(-(-outputs // ROWS) * ROWS, -1)
    rows[:outputs] = _order(supports, support_of)
    taps = kernel[0] * kernel[1]
    counts, entries, source = [], [], []
    for block in rows.reshape(-1, ROWS):
        segments = _segments(supports, support_of, block)
        for segment, members in zip(segments, _SEGMENT_ROWS, strict=True):
            counts.append(len(segment))
            entries.append(segment)
            of = block[list(members)]
            index = (of * inputs + channel_of[segment][:, None]) * taps + tap_of[segment][:, None]
            reads = (of >= 0) & supports[support_of[of]][:, segment].T
            source.append(np.where(reads, index, -1).ravel())
    positions = geometry.kernel_size[0] * geometry.kernel_size[1]
    starts = np.searchsorted(tap_of, np.arange(positions + 1))
    lengths = [len(columns), len(rows) // ROWS, *(sum(map(len, x)) for x in (entries, source))]
    head = [*_header(inputs, outputs, geometry), *lengths]
    table = np.concatenate([head, rows, counts, channel_of, starts, *entries])
    return Plan(
        table=torch.from_numpy(table.astype(np.int32)),
        source=torch.from_numpy(np.concatenate([[], *source]).astype(np.int32)),
        live=int(live.sum()),
    )


def _used(mask: Mask, inputs: int, all_channels: bool) -> Mask:
    """Return the columns of a plan, as a mask of the pairs of kernel position and channel."""
    by_tap = mask.any(0).reshape(-1, inputs)
    live_taps = by_tap.any(1)
    if all_channels or live_taps.sum() == 1:
        # Column c is channel c, so that the images can be read in place.
        return np.repeat(live_taps | all_channels, inputs)
    return by_tap.ravel()


def _header(inputs: int, outputs: int, geometry: Geometry) -> list[int]:
    left, right, top, bottom = geometry.padding
    return [
        FORMAT, inputs, outputs, *geometry.kernel_size, *geometry.stride, *geometry.dilation,
        top, left, bottom, right,
    ]  # fmt: skip


def after_depthwise(table: Tensor, geometry: Geometry) -> Tensor:
    """Return the table of a 1 x 1 convolution after a depthwise one that the kernel computes first.

    Args:
        table: Table of the 1 x 1 convolution, `Plan.table`.
        geometry: Geometry of the depthwise convolution.

    Returns:
        The table.
    """
    numbers = table.tolist()
    inputs, outputs = numbers[1:3]
    head = [*_header(inputs, outputs, geometry), *numbers[13:17]]
    columns, blocks, entries = numbers[13:16]
    lists = numbers[17 : 17 + blocks * (ROWS + len(_SEGMENT_ROWS)) + columns]
    taps = geometry.kernel_size[0] * geometry.kernel_size[1]
    starts = [min(tap, 1) * columns for tap in range(taps + 1)]
    tail = numbers[len(numbers) - entries :] if entries else []
    return torch.tensor([*head, *lists, *starts, *tail], dtype=torch.int32)


def amounts(table: Tensor) -> list[int]:
    """Return the numbers of a plan that determine the amount of computation on a CPU.

    Args:
        table: `Plan.table`.

    Returns:
        The header, the number of entries of each segment of each block, and the first column of
        each kernel position. The remaining numbers name channels and outputs.
    """
    numbers = table.tolist()
    columns, blocks = numbers[13:15]
    counts = 17 + blocks * ROWS
    channels = counts + blocks * len(_SEGMENT_ROWS)
    starts = channels + columns
    taps = numbers[3] * numbers[4]
    return [*numbers[:17], *numbers[counts:channels], *numbers[starts : starts + taps + 1]]


def transposed(live: Mask, geometry: Geometry) -> tuple[Mask, Geometry, Numbers]:
    """Describe the convolution that computes the gradient of the input, for stride 1.

    Args:
        live: Mask of the live weights, (Cout, Cin, KH, KW).
        geometry: Geometry of the convolution.

    Returns:
        The mask (Cin, Cout, KH, KW) and the geometry of that convolution, and the index of each of
        its weights in the flattened weight of this one.
    """
    index = np.arange(live.size).reshape(live.shape)
    return (
        live.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1],
        geometry.transposed(),
        index.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1].ravel(),
    )


def _distinct(mask: Mask) -> tuple[Mask, Numbers]:
    """Return the distinct rows of a mask, and the number of the distinct row of each row."""
    packed = np.packbits(mask, axis=1)
    numbers: dict[bytes, int] = {}
    which = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in packed], np.int64)
    first = np.unique(which, return_index=True)[1]
    return mask[first], which


def _order(supports: Mask, support_of: Numbers) -> Numbers:
    """Order the outputs so that each is followed by the most similar one that is left."""
    size = supports.astype(np.float32)
    distance = size.sum(1)[:, None] + size.sum(1)[None] - 2 * (size @ size.T)
    rank = np.zeros(len(supports), np.int64)
    left = np.ones(len(supports), bool)
    last = 0
    for place in range(len(supports)):
        rank[last], left[last] = place, False
        if left.any():
            last = int(np.where(left, distance[last], np.inf).argmin())
    return np.argsort(rank[support_of], kind="stable")


def _segments(supports: Mask, support_of: Numbers, block: Numbers) -> list[Numbers]:
    """Cover what a block reads by segments of 8, 4 and 2 rows, at the least estimated time."""
    live = block[block >= 0]
    distinct = np.unique(support_of[live])
    if len(distinct) == 1 and len(live) == ROWS:
        return [np.flatnonzero(supports[distinct[0]]), *[np.empty(0, np.int64)] * 6]
    use = np.zeros((ROWS, supports.shape[1]), bool)
    use[: len(live)] = supports[support_of[live]]
    read = np.flatnonzero(use.any(0))
    by_pair = use[:, read].reshape(4, 2, -1)
    pairs: Mask = by_pair[:, 0] | by_pair[:, 1]
    covers = list(_covers(pairs))
    best = min(covers, key=_time)
    return [read[segment] for segment in best]


def _covers(pair: Mask) -> Iterator[list[Numbers]]:
    """Yield the ways to cover the columns that each pair of rows reads, (4, columns)."""
    half = pair.reshape(2, 2, -1).sum(1)
    none = np.zeros(pair.shape[1], bool)
    eights: list[Mask] = [half.any(0), half.all(0), half.sum(0) == 4, none]
    for eight in eights:
        for by_two in (False, True):
            four = [((half[h] == 2) if by_two else (half[h] > 0)) & ~eight for h in (0, 1)]
            two = [pair[q] & (half[q // 2] == 1) & ~eight if by_two else none for q in range(4)]
            yield [np.flatnonzero(segment) for segment in (eight, *four, *two)]


def _time(segments: Sequence[Numbers]) -> float:
    return sum(
        len(segment) * _CYCLES[len(rows)] + (_SEGMENT_CYCLES if len(segment) else 0)
        for segment, rows in zip(segments, _SEGMENT_ROWS, strict=True)
    )
