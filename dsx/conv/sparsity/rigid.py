"""The 15 rigid kernel shapes of Learnable Heterogeneous Convolution, in their published order."""

import torch
from torch import Tensor

_ROWS = (
    "... ... ...", "... .x. ...", "... xxx ...", "..x .x. x..", ".x. .x. .x.",
    "x.. .x. ..x", ".xx .xx ...", "xx. xx. ...", "... xx. xx.", "... .xx .xx",
    "xxx xxx ...", "xx. xx. xx.", "... xxx xxx", ".xx .xx .xx", "xxx xxx xxx",
)  # fmt: skip
COUNT = len(_ROWS)


def rigid_shapes() -> Tensor:
    """Return the masks of the rigid shapes, (15, 3, 3) boolean.

    Source:
        Learnable Heterogeneous Convolution (arXiv 2301.05440).
    """
    live = [[mark == "x" for mark in row.replace(" ", "")] for row in _ROWS]
    return torch.tensor(live).reshape(COUNT, 3, 3)
