"""The layout of live weights against loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsx.conv import ConvSpec
from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.conv.sparsity.layout import bounding_box, crop, layout
from tests.conv import naive
from tests.conv.strategies import SHAPES, slots, specs


@given(data=st.data(), shape=st.sampled_from(SHAPES))
@settings(max_examples=80)
def test_live_count_and_live_agree(data: st.DataObject, shape: str) -> None:
    slot = data.draw(slots())
    spec = data.draw(specs(slot, shape)).at(slot)
    if spec.keeps:
        spec = ConvSpec(groups=slot.groups)
    laid = layout(spec, Geometry.of(slot))
    assert laid.live_count == int(laid.live.sum())
    assert laid.live.shape == (*laid.channels.shape, laid.box.height, laid.box.width)
    assert laid.groups * laid.channels.shape[1] == slot.in_channels
    # No live position is outside the box.
    assert laid.live_count == int(laid.supports[laid.which].sum())
    # Including supports that are not in use, because there are too few outputs.
    expected = {(row + laid.box.top, column + laid.box.left)
              for row, column in laid.positions.nonzero().tolist()}  # fmt: skip
    assert expected == naive.positions(spec, slot.kernel_size)


@given(
    cells=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1),
)
def test_bounding_box_is_the_smallest(cells: set[tuple[int, int]]) -> None:
    support = torch.zeros(7, 5, dtype=torch.bool)
    for cell in cells:
        support[cell] = True
    rows, columns = {row for row, _ in cells}, {column for _, column in cells}
    assert bounding_box(support) == Box(
        top=min(rows),
        left=min(columns),
        height=max(rows) - min(rows) + 1,
        width=max(columns) - min(columns) + 1,
    )


def test_crop_is_a_view_of_the_box() -> None:
    kernels = torch.arange(2 * 3 * 4).reshape(2, 3, 4)
    part = crop(kernels, Box(top=1, left=2, height=2, width=1))
    assert part.tolist() == [[[6], [10]], [[18], [22]]]
    part.zero_()
    assert int(kernels[0, 1, 2]) == 0
