"""Lists of GPUs contain every live weight once, at its channel and kernel position."""

import numpy as np
import pytest
import torch

from dsx.conv.native.gpu.lists import GpuLists, gpu_lists
from dsx.conv.native.plan import make_plan
from dsx.conv.sparsity.geometry import Box, Geometry
from dsx.errors import DsxError
from tests.conv.native.gpu.cases import CASES, STRIDED, Case, case, sliding, some

CPU = torch.device("cpu")
ALL = {**CASES, **STRIDED}


def lists_of(case: Case) -> GpuLists:
    plan = case.plan
    return gpu_lists(plan.table, plan.source, False, CPU)


def listed(lists: GpuLists) -> set[tuple[int, int, tuple[int, ...], int]]:
    """Return the output, channel, shift and index of each weight, as the kernel reads them."""
    found = set()
    index = lists.index.view(-1, lists.chunk, lists.block)
    for block in range(len(lists.first) - 1):
        for chunk in range(int(lists.first[block]), int(lists.first[block + 1])):
            assert int(lists.block_of[chunk]) == block
            for place, row in (index[chunk] >= 0).nonzero().tolist():
                output = int(lists.rows[block * lists.block + row])
                channel = int(lists.channels[chunk * lists.chunk + place])
                shift = tuple(lists.shifts[chunk].tolist())
                weight = (output, channel, shift, int(index[chunk, place, row]))
                assert weight not in found
                found.add(weight)
    return found


def expected(case: Case) -> set[tuple[int, int, tuple[int, ...], int]]:
    geometry = case.geometry
    left, _, top, _ = geometry.padding
    found = set()
    for index in np.flatnonzero(case.live):
        output, channel, y, x = np.unravel_index(index, case.live.shape)
        shift = (y * geometry.dilation[0] - top, x * geometry.dilation[1] - left)
        found.add((int(output), int(channel), tuple(map(int, shift)), int(index)))
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_live_weight_is_listed_once(name: str) -> None:
    assert listed(lists_of(ALL[name])) == expected(ALL[name])


@pytest.mark.parametrize("name", ALL)
def test_the_dense_weight_follows_from_the_lists(name: str) -> None:
    live = ALL[name].live
    # The weight is stored in the opposite order.
    plan = ALL[name].plan.with_stored(np.arange(live.size)[::-1])
    lists = gpu_lists(plan.table, plan.source, False, CPU)
    assert torch.equal(lists.index[lists.live].long(), lists.stored)
    weight = torch.arange(1, live.size + 1).flip(0)
    box = lists.box
    dense = torch.zeros(*live.shape[:2], box.height, box.width, dtype=torch.int64)
    dense.view(-1)[lists.dense] = weight[lists.stored]
    expected = np.arange(1, live.size + 1).reshape(live.shape) * live
    inside = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
    assert dense.tolist() == expected[:, :, *inside].tolist()
    assert expected.sum() == dense.sum()


def test_the_box_covers_the_live_positions_only() -> None:
    assert lists_of(CASES["dense"]).box == Box(top=0, left=0, height=3, width=3)
    found = lists_of(CASES["dead channels, outputs and positions"]).box
    assert found == Box(top=1, left=0, height=2, width=3)


def test_without_a_source_the_index_is_that_of_the_packed_weights() -> None:
    plan = CASES["dead channels, outputs and positions"].plan
    lists = gpu_lists(plan.table, None, False, CPU)
    live = plan.source[lists.stored] >= 0
    stored = gpu_lists(plan.table, plan.source, False, CPU).stored
    assert sorted(plan.source[lists.stored][live].tolist()) == sorted(stored.tolist())


def test_after_a_depthwise_convolution_nothing_is_shifted() -> None:
    live = sliding(6, 3)(np.random.default_rng(0), (20, 24, 1, 1))
    depthwise = Geometry(
        in_channels=24,
        out_channels=20,
        kernel_size=(3, 3),
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        dilation=(1, 1),
        padding_mode="zeros",
    )
    plan = make_plan(live, depthwise)
    lists = gpu_lists(plan.table, plan.source, True, CPU)
    assert lists.shifts.tolist() == [[0, 0]] * len(lists.block_of)
    found = {(output, channel) for output, channel, _, _ in listed(lists)}
    assert found == set(zip(*np.nonzero(live)[:2], strict=True))


def test_a_plan_of_another_format_is_refused() -> None:
    plan = CASES["dense"].plan
    table = plan.table.clone()
    table[0] += 1
    with pytest.raises(DsxError, match=r"^a plan was made by another version of dsx \(deploy"):
        gpu_lists(table, plan.source, False, CPU)


@pytest.mark.parametrize(
    ("tested", "block", "chunk"),
    [
        (case(64, 64, (4, 4), some(1.0)), 32, 32),
        (case(64, 16, (4, 4), some(1.0)), 32, 16),
        (case(16, 64, (4, 4), some(1.0)), 16, 32),
        (case(64, 64, (4, 4), sliding(8, 4)), 16, 32),
    ],
)
def test_tiles_are_large_where_little_is_wasted(tested: Case, block: int, chunk: int) -> None:
    lists = lists_of(tested)
    assert (lists.block, lists.chunk) == (block, chunk)
