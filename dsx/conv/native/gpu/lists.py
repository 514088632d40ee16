"""Lists of the kernels of GPUs, derived from the plan of a block-sparse convolution.

A block of the plan has 8 outputs, and seven lists. A block of a GPU has 16 or 32 outputs, those of
adjacent blocks of the plan, and one list of what any of them reads. The list consists of chunks
of 16 or 32 channels that share one kernel position, so that a chunk is one product of matrices.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsx.conv.native.plan import FORMAT, OTHER_FORMAT, ROWS, Mask, Numbers
from dsx.conv.sparsity.geometry import Box
from dsx.errors import DsxError

_HEADER = 17
"""Length of the header of a plan, described in source/interface.h."""

_SEGMENTS = ((0, 8), (0, 4), (4, 4), (0, 2), (2, 2), (4, 2), (6, 2))
"""First row and number of rows of each segment of a block of the plan."""

_SIZES = (32, 16)
"""Possible numbers of outputs in a block, and of channels in a chunk."""

_OVERHEAD = 8
"""Outputs and channels that a product of matrices costs in addition; an estimate."""


@dataclass(frozen=True, kw_only=True)
class GpuLists:
    """The lists of a block-sparse convolution for a GPU.

    Args:
        rows: Output of each row of each block, (blocks * block,) int32; -1: none.
        first: First chunk of each block, and the number of chunks, (blocks + 1,) int32.
        block_of: Block of each chunk, (chunks,) int32.
        shifts: Rows and columns by which a chunk is shifted against the output, (chunks, 2) int32.
        channels: Input channels of each chunk, (chunks * chunk,) int32; -1: none.
        index: Index of each weight of each chunk, (chunks * chunk * block,) int32; -1: none.
        live: Places of the weights in `index`, int64.
        stored: Index of these weights, int64.
        dense: Index of these weights in the flattened dense weight that covers the box, (Cout, Cin,
            box height, box width), int64.
        box: Box of the kernel positions of these weights.
        outputs: Number of outputs.
        block: Number of outputs of a block.
        chunk: Number of channels of a chunk.
    """

    rows: Tensor
    first: Tensor
    block_of: Tensor
    shifts: Tensor
    channels: Tensor
    index: Tensor
    live: Tensor
    stored: Tensor
    dense: Tensor
    box: Box
    outputs: int
    block: int
    chunk: int


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """The weights of a plan one by one.

    Args:
        row: Row of each weight; the rows of all blocks of the plan are numbered in one sequence.
        column: Column of each weight.
        index: Index of each weight in the packed or stored weights.
    """

    row: Numbers
    column: Numbers
    index: Numbers


class _Table:
    """The arrays of a plan.

    Args:
        table: `Plan.table`.

    Raises:
        DsxError: If the table has another format.
    """

    def __init__(self, table: NDArray[np.int32]) -> None:
        numbers = table.astype(np.int64)
        if numbers[0] != FORMAT:
            raise DsxError(OTHER_FORMAT)
        self.inputs, self.outputs = int(numbers[1]), int(numbers[2])
        self.kernel, self.dilation = numbers[3:5], numbers[7:9]
        self.padding = numbers[9:11]
        columns, blocks, entries = map(int, numbers[13:16])
        lengths = [ROWS * blocks, len(_SEGMENTS) * blocks, columns, self.taps + 1, entries]
        ends = np.cumsum([_HEADER, *lengths])
        self.rows, self.counts, self.channel, self.starts, self.entries = (
            numbers[begin:end] for begin, end in itertools.pairwise(ends)
        )

    @property
    def taps(self) -> int:
        """Number of kernel positions."""
        return int(self.kernel[0] * self.kernel[1])

    def tap_of(self, column: Numbers) -> Numbers:
        """Return the kernel positions of columns."""
        return np.searchsorted(self.starts, column, side="right") - 1

    def box_of(self, column: Numbers) -> tuple[Box, Numbers]:
        """Return the box of the kernel positions of columns, and these as positions of the box."""
        if not len(column):
            return Box(top=0, left=0, height=1, width=1), column
        place = np.stack(np.divmod(self.tap_of(column), self.kernel[1]))
        top, left = place.min(1).tolist()
        height, width = (place.max(1) + 1 - place.min(1)).tolist()
        box = Box(top=top, left=left, height=height, width=width)
        return box, (place[0] - top) * width + place[1] - left

    def weights(self, source: NDArray[np.int32] | None) -> _Weights:
        """Return the weights of the plan, without its padding.

        Args:
            source: Index of each packed weight in the stored weight, `Plan.source`; None for
                packed weights.
        """
        segment = np.repeat(np.arange(len(self.counts)), self.counts)
        begin, size = np.array(_SEGMENTS)[segment % len(_SEGMENTS)].reshape(-1, 2).T
        begin = begin + segment // len(_SEGMENTS) * ROWS
        entry = np.repeat(np.arange(len(segment)), size)
        number = np.arange(len(entry))
        row = begin[entry] + number - (np.cumsum(size) - size)[entry]
        index = number if source is None else source.astype(np.int64)
        kept = (self.rows[row] >= 0) & (index >= 0)
        return _Weights(row=row[kept], column=self.entries[entry][kept], index=index[kept])


@dataclass(frozen=True, kw_only=True)
class _Tiling:
    """Blocks and chunks of one size.

    Args:
        used: Mask of the columns that each block reads, (blocks, columns).
        counts: Number of chunks of each block at each kernel position, (blocks, taps).
        block: Number of outputs of a block.
        chunk: Number of channels of a chunk.
    """

    used: Mask
    counts: Numbers
    block: int
    chunk: int

    @property
    def cost(self) -> int:
        """Estimated time of the blocks, without a unit."""
        return int(self.counts.sum()) * (self.block + _OVERHEAD) * (self.chunk + _OVERHEAD)


def gpu_lists(
    table: Tensor, source: Tensor | None, after_depthwise: bool, device: torch.device
) -> GpuLists:
    """Derive the lists of a GPU from a plan.

    Args:
        table: `Plan.table`.
        source: `Plan.source`, so that the kernel reads the stored weight; None for packed weights.
        after_depthwise: Whether a depthwise convolution comes first, to which the geometry of the
            plan belongs.
        device: Device of the lists.

    Returns:
        The lists.

    Raises:
        DsxError: If the plan has another format.
    """
    plan = _Table(table.cpu().numpy())
    weights = plan.weights(None if source is None else source.cpu().numpy())
    tiling = min(_tilings(plan, weights), key=lambda tiling: tiling.cost)
    block, chunk, counts = tiling.block, tiling.chunk, tiling.counts
    rows = np.full(tiling.used.shape[0] * block, -1)
    rows[: len(plan.rows)] = plan.rows
    of_chunk = np.repeat(np.arange(counts.size), counts.ravel())
    place = _places(plan, tiling)
    channels = np.full(len(of_chunk) * chunk, -1)
    reader, column = np.nonzero(tiling.used)
    channels[place[reader, column]] = plan.channel[column]
    at = place[weights.row // block, weights.column] * block + weights.row % block
    index = np.full(len(channels) * block, -1)
    index[at] = weights.index
    box, tap = plan.box_of(weights.column)
    dense = plan.rows[weights.row] * plan.inputs + plan.channel[weights.column]
    dense = dense * (box.height * box.width) + tap
    short = {
        "rows": rows,
        "first": np.append(0, np.cumsum(counts.sum(1))),
        "block_of": of_chunk // plan.taps,
        "shifts": np.zeros((len(of_chunk), 2)) if after_depthwise else _shifts(plan, of_chunk),
        "channels": channels,
        "index": index,
    }
    return GpuLists(
        **{name: _tensor(each, torch.int32, device) for name, each in short.items()},
        live=_tensor(at, torch.int64, device),
        stored=_tensor(weights.index, torch.int64, device),
        dense=_tensor(dense, torch.int64, device),
        box=box,
        outputs=plan.outputs,
        block=block,
        chunk=chunk,
    )


def _tensor(numbers: NDArray[np.generic], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(numbers).to(device, dtype)


def _tilings(plan: _Table, weights: _Weights) -> Iterator[_Tiling]:
    """Yield the possible tilings, the one with the largest tiles first."""
    for block in _SIZES:
        used = np.zeros((-(-len(plan.rows) // block), len(plan.channel)), bool)
        used[weights.row // block, weights.column] = True
        before = _before(used)[:, plan.starts]
        for chunk in _SIZES:
            counts = -(-np.diff(before, axis=1) // chunk)
            yield _Tiling(used=used, counts=counts, block=block, chunk=chunk)


def _places(plan: _Table, tiling: _Tiling) -> Numbers:
    """Return the place of each column in the list of each block, (blocks, columns)."""
    counts, before = tiling.counts, _before(tiling.used)
    first = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape) * tiling.chunk
    tap = plan.tap_of(np.arange(len(plan.channel)))
    places: Numbers = before[:, :-1] + (first - before[:, plan.starts[:-1]])[:, tap]
    return places


def _before(used: Mask) -> Numbers:
    """Return the number of columns that each block reads before each column and in total."""
    return np.pad(np.cumsum(used, axis=1), ((0, 0), (1, 0)))


def _shifts(plan: _Table, of_chunk: Numbers) -> Numbers:
    tap = of_chunk % plan.taps
    position = np.stack([tap // plan.kernel[1], tap % plan.kernel[1]], axis=1)
    shifts: Numbers = position * plan.dilation - plan.padding
    return shifts
