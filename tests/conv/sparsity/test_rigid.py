"""The 15 rigid shapes against the published list, and against their definition."""

import numpy as np
import torch

from dsx.conv.sparsity.rigid import COUNT, rigid_shapes
from tests.conv.golden import FOLDER


def test_lhc_rigid_shapes() -> None:
    published = np.load(FOLDER / "lhc_rigid_shapes.npy")
    assert np.array_equal(rigid_shapes().numpy(), published.astype(bool))
    assert rigid_shapes().dtype == torch.bool
    assert len(published) == COUNT == 15


def test_the_shapes_are_empty_full_lines_through_the_centre_and_rectangles() -> None:
    k = range(3)
    expected = [frozenset(), {(1, 1)}, {(r, c) for r in k for c in k}]
    expected += [{(1, c) for c in k}, {(r, 1) for r in k}]
    expected += [{(r, r) for r in k}, {(r, 2 - r) for r in k}]
    expected += [{(a + r, b + c) for r in k[:2] for c in k[:2]} for a in k[:2] for b in k[:2]]
    expected += [{(a + r, c) for r in k[:2] for c in k} for a in k[:2]]
    expected += [{(r, b + c) for r in k for c in k[:2]} for b in k[:2]]
    found = [
        frozenset((row, column) for row, column in shape.nonzero().tolist())
        for shape in rigid_shapes()
    ]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    # The first of several equal scores wins, which is never the larger shape.
    sizes = [len(shape) for shape in found]
    assert sizes == sorted(sizes)
