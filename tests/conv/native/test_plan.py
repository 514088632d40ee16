"""Plans of block-sparse convolutions: their lists describe the mask, with little padding."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv.native.plan import (
    FORMAT,
    ROWS,
    Mask,
    Numbers,
    Plan,
    after_depthwise,
    amounts,
    make_plan,
    transposed,
)
from tests.conv.native.cases import (
    MASKS,
    corners,
    cross,
    geometry,
    heterogeneous,
    learned,
    nothing,
    sliding,
    sliding_cross,
)

SEGMENTS = [(0, 8), (0, 4), (4, 8), (0, 2), (2, 4), (4, 6), (6, 8)]
"""First and last row of each segment, in the order of source/interface.h."""


@dataclass(frozen=True)
class Lists:
    """The arrays of a table, as source/interface.h describes them."""

    head: list[int]
    rows: Numbers
    counts: Numbers
    channel: Numbers
    starts: Numbers
    entries: Numbers


def read(table: torch.Tensor) -> Lists:
    assert table.dtype == torch.int32 and table.is_contiguous()
    numbers = table.numpy().astype(np.int64)
    head = numbers[:17].tolist()
    kernel_height, kernel_width = head[3:5]
    columns, blocks, entries = head[13:16]
    lengths = [blocks * 8, blocks * 7, columns, kernel_height * kernel_width + 1, entries]
    rows, counts, channel, starts, listed = np.split(numbers[17:], np.cumsum(lengths)[:-1])
    assert len(listed) == entries
    return Lists(head, rows.reshape(-1, 8), counts.reshape(-1, 7), channel, starts, listed)


def packed(plan: Plan) -> Iterator[tuple[int, int, int]]:
    """Iterate over the packed weights: output (-1: none), column, index in the source."""
    lists, sources = read(plan.table), iter(plan.source.tolist())
    entries = iter(lists.entries.tolist())
    for rows, counts in zip(lists.rows.tolist(), lists.counts.tolist(), strict=True):
        for count, (first, last) in zip(counts, SEGMENTS, strict=True):
            for _ in range(count):
                column = next(entries)
                for row in range(first, last):
                    yield rows[row], column, next(sources)
    assert list(entries) == list(sources) == []


def assert_describes(plan: Plan, live: Mask) -> None:
    """Check that a plan has each live weight once, with its output and its column."""
    lists = read(plan.table)
    taps = live.shape[2] * live.shape[3]
    tap = np.searchsorted(lists.starts, np.arange(len(lists.channel)), side="right") - 1
    found = []
    for output, column, source in packed(plan):
        if source < 0:
            continue
        found.append(source)
        expected = np.unravel_index(source, (live.shape[0], live.shape[1], taps))
        assert (output, lists.channel[column], tap[column]) == tuple(map(int, expected))
    assert sorted(found) == np.flatnonzero(live).tolist()
    assert plan.live == live.sum() == (plan.source >= 0).sum()
    assert (plan.source >= -1).all()


masks = st.builds(
    lambda outputs, inputs, height, width, density, supports, seed: (
        np.random.default_rng(seed).random((supports, inputs, height, width)) < density
    )[np.random.default_rng(seed).integers(0, supports, outputs)],
    st.integers(1, 35),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 0.05, 0.3, 0.7, 1]),
    st.integers(1, 12),
    st.integers(0, 10_000),
)
"""Masks whose outputs have few different supports, as all masks of dsx, or all different ones."""


@given(masks)
def test_each_live_weight_is_packed_once(live: Mask) -> None:
    assert_describes(make_plan(live, geometry(live)), live)


@given(masks)
def test_each_output_is_computed_once(live: Mask) -> None:
    rows = read(make_plan(live, geometry(live)).table).rows.ravel()
    assert len(rows) == -(-len(live) // ROWS) * ROWS
    assert sorted(rows[rows >= 0].tolist()) == list(range(len(live)))


@given(masks)
def test_columns_are_sorted_by_position_then_by_channel(live: Mask) -> None:
    lists = read(make_plan(live, geometry(live)).table)
    positions = np.diff(lists.starts)
    used: Mask = np.logical_or.reduce(live, 0).transpose(1, 2, 0).reshape(-1, live.shape[1])
    assert (lists.starts[0], lists.starts[-1]) == (0, len(lists.channel))
    for position, first in enumerate(lists.starts[:-1]):
        channels = lists.channel[first : first + positions[position]].tolist()
        assert channels == sorted(set(channels))
        # With one position column c is channel c, so that the images can be read in place.
        whole = used.any(1).sum() == 1 and used[position].any()
        assert channels == (
            list(range(len(used[0]))) if whole else used[position].nonzero()[0].tolist()
        )


@given(masks)
def test_entries_of_a_segment_are_ascending(live: Mask) -> None:
    lists = read(make_plan(live, geometry(live)).table)
    for segment in np.split(lists.entries, np.cumsum(lists.counts.ravel())[:-1]):
        assert (np.diff(segment) > 0).all()


@given(masks)
def test_the_padding_is_bounded(live: Mask) -> None:
    plan = make_plan(live, geometry(live))
    # A segment of two rows takes 3.6 cycles for each entry, one of eight rows 1.5 for each weight;
    # and starting the six smaller segments of a block takes 24 cycles.
    assert len(plan.source) <= (3.6 * plan.live + 24 * len(read(plan.table).rows)) / 1.5
    assert plan.padding == len(plan.source) / max(plan.live, 1)


@given(masks, st.integers(1, 2), st.integers(0, 3))
def test_the_header(live: Mask, dilation: int, top: int) -> None:
    g = geometry(live, (1, 2), (4, 5, top, 7), (dilation, 3))
    head = read(make_plan(live, g).table).head
    inputs, outputs = live.shape[1], live.shape[0]
    assert head[:5] == [FORMAT, inputs, outputs, *live.shape[2:]]
    assert head[5:13] == [1, 2, dilation, 3, top, 4, 7, 5]
    plan = make_plan(live, g)
    assert head[16] == len(plan.source)


@given(masks)
def test_the_amounts_are_those_of_the_lists(live: Mask) -> None:
    table = make_plan(live, geometry(live)).table
    lists = read(table)
    expected = [*lists.head, *lists.counts.ravel().tolist(), *lists.starts.tolist()]
    assert amounts(table) == expected


@given(masks)
def test_the_transposed_mask_of_the_transposed_mask_is_the_mask(live: Mask) -> None:
    g = geometry(live, padding=(0, 1, 2, 3), dilation=(1, 2))
    mask, other, index = transposed(live, g)
    assert mask.shape == (live.shape[1], live.shape[0], *live.shape[2:])
    np.testing.assert_array_equal(live.ravel()[index], mask.ravel())
    again, same, back = transposed(mask, other)
    np.testing.assert_array_equal(again, live)
    assert same == g
    np.testing.assert_array_equal(index[back], np.arange(live.size))


@given(masks)
def test_a_weight_that_is_stored_in_another_order(live: Mask) -> None:
    plan = make_plan(live, geometry(live))
    index = np.random.default_rng(0).permutation(live.size)
    stored = plan.with_stored(index)
    assert (stored.live, stored.table) == (plan.live, plan.table)
    expected = [index[at] if at >= 0 else -1 for at in plan.source.tolist()]
    assert stored.source.tolist() == expected
    assert stored.source.dtype == torch.int32


@given(masks, st.sampled_from([(3, 3), (1, 5), (2, 2)]))
def test_a_depthwise_convolution_can_come_first(live: Mask, size: tuple[int, int]) -> None:
    live = live[:, :, :1, :1]
    g = geometry(live, (2, 1), (1, 2, 0, 1), (1, 1), size)
    plan = make_plan(live, g)
    lists = read(plan.table)
    assert lists.head[3:5] == list(size)
    assert lists.channel.tolist() == list(range(live.shape[1]))
    assert_describes(plan, live)
    if live.any():
        pointwise = make_plan(live, geometry(live))
        assert after_depthwise(pointwise.table, g).tolist() == plan.table.tolist()
        assert pointwise.source.tolist() == plan.source.tolist()


def test_a_mask_without_live_weights() -> None:
    plan = make_plan(nothing(9, 4), geometry(nothing(9, 4)))
    lists = read(plan.table)
    assert (len(plan.source), len(lists.entries), len(lists.channel)) == (0, 0, 0)
    assert plan.padding == 0
    assert sorted(lists.rows.ravel().tolist()) == [*[-1] * 7, *range(9)]


def test_one_output() -> None:
    live = np.ones((1, 3, 2, 2), bool)
    plan = make_plan(live, geometry(live))
    # The smallest segment has two rows.
    assert len(plan.source) == 2 * live.size
    assert_describes(plan, live)


def test_equal_supports_share_segments_of_eight_rows() -> None:
    plan = make_plan(corners(32, 5), geometry(corners(32, 5)))
    counts = read(plan.table).counts
    assert (counts[:, 0] == 4 * 5).all() and not counts[:, 1:].any()
    assert plan.padding == 1


WINDOWS = [(groups, overlap) for groups in (2, 4, 8) for overlap in (0.33, 0.5)]
SIDES = (64, 128, 256, 512)
BOUND = 1.0625
"""The bound of 1.06, rounded to two digits."""


@pytest.mark.parametrize("side", SIDES)
def test_padding_of_sliding_windows(side: int) -> None:
    for groups, overlap in WINDOWS:
        live = sliding(side, side, groups, overlap)
        assert make_plan(live, geometry(live)).padding <= BOUND, (groups, overlap)
        mask, other, _ = transposed(live, geometry(live))
        assert make_plan(mask, other).padding <= BOUND, (groups, overlap, "transposed")


@pytest.mark.parametrize("side", SIDES)
def test_padding_of_kernel_shapes(side: int) -> None:
    for of in (corners, cross, heterogeneous, learned, sliding_cross):
        live = of(side, side)
        plan = make_plan(live, geometry(live, padding=(1, 1, 1, 1)))
        assert plan.padding <= BOUND, of.__name__
        mask, other, _ = transposed(live, geometry(live, padding=(1, 1, 1, 1)))
        assert make_plan(mask, other).padding <= BOUND, (of.__name__, "transposed")


@pytest.mark.timing
@pytest.mark.parametrize("name", MASKS)
def test_planning_takes_less_than_a_second(name: str) -> None:
    live = MASKS[name](512, 512)
    start = time.thread_time()
    make_plan(live, geometry(live))
    assert time.thread_time() - start < 1
