"""Channel splits of binary bases against loops, and counts against values by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import ConvSpec
from dsx.conv.modules.basis import BasisCount, basis_count, channel_splits
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import layout
from tests.conv import naive
from tests.conv.strategies import cases


@given(data=st.data(), kind=st.sampled_from(["binary", "binary cyclic"]))
@settings(max_examples=60)
def test_channel_splits_by_loops(data: st.DataObject, kind: str) -> None:
    case = data.draw(cases(kind))
    spec = case.spec.at(case.conv)
    found = channel_splits(layout(spec, Geometry.of(case.conv)), spec.splits)
    expected = [naive.channel_splits(spec, case.conv, o) for o in range(case.conv.out_channels)]
    for splits, which in zip(expected, found.which, strict=True):
        assert [tuple(split) for split in found.channels[which].tolist()] == splits
    # Each split occurs once, and only if an output reads it.
    distinct = {split for splits in expected for split in splits}
    assert sorted(map(tuple, found.channels.tolist())) == sorted(distinct)


def test_windows_that_wrap_around_have_such_splits() -> None:
    # Windows of 3 of 6 channels that slide by 2: (0 1 2), (2 3 4), (4 5 0).
    spec = ConvSpec(groups=2, channel_stride="2/3", binary_basis=2)
    slot = nn.Conv2d(6, 3, 1)
    frame = layout(spec.at(slot), Geometry.of(slot))
    assert frame.channels.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 0]]
    found = channel_splits(frame, 3)
    assert found.channels.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert found.which.tolist() == frame.channels.tolist()
    # The order matters, because each column of a filter has its channel.
    whole = channel_splits(frame, 1)
    assert whole.channels.tolist() == frame.channels.tolist()


@pytest.mark.parametrize(
    ("maps", "merges", "by_maps", "flops"),
    [(50, 49, True, 99), (50, 50, False, 100), (100, 0, False, 100), (200, 5, False, 100)],
)
def test_the_cheaper_method_counts(maps: int, merges: int, by_maps: bool, flops: int) -> None:
    count = BasisCount(entries=0, selection_bits=0, dense=100, maps=maps, merges=merges)
    assert (count.by_maps, count.flops) == (by_maps, flops)


@pytest.mark.parametrize(
    ("k", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6), (65, 7), (256, 8)]
)
def test_a_selection_takes_the_bits_that_distinguish_the_filters(k: int, bits: int) -> None:
    slot = nn.Conv2d(4, 5, 3)
    spec = ConvSpec(binary_basis=k, splits=2).at(slot)
    assert basis_count(spec, Geometry.of(slot)).selection_bits == 5 * 2 * bits


def test_a_basis_covers_the_union_of_all_supports() -> None:
    slot = nn.Conv2d(4, 3, 3)
    # Three of the four corners are in use, but P contains the fourth as well.
    spec = ConvSpec(kernel_shape="corners", binary_basis=2).at(slot)
    count = basis_count(spec, Geometry.of(slot))
    assert (count.entries, count.dense, count.maps) == (2 * 4 * 9, 3 * 4 * 4, 2 * 4 * 9)
