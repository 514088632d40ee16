"""Compare gradients of sliding-channel convolutions of dsx and of the published CUDA kernel.

    python docs/published_gradients.py

Each error is the largest absolute error, divided by the largest entry of the exact gradient. The
exact gradient is that of the windows of dsx or of the published forward pass, respectively. The
results of the published kernels were recorded in float32 (tests/golden/README.md).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dsx.conv import build, preset

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
ROUNDING = 1e-12
"""Rounding errors of float64 differ between machines and are not shown."""


def dsx_gradients(case: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the gradients of dsx.

    Args:
        case: Arrays of a golden file.

    Returns:
        Gradients of the input and of the weight, the latter in the order of the golden file.
    """
    x, weight = case["x"].requires_grad_(), case["weight"]
    groups, (outputs, width) = int(case["groups"]), weight.shape
    spec = preset("scc", groups=groups, overlap=float(case["overlap"]), separable=False)
    conv = build(spec, nn.Conv2d(x.shape[1], outputs, 1, bias=False).double())
    # With one group the published kernel rotates the weights along; dsx has no stride there.
    rotation = case["starts_rpw"][:, None] if groups == 1 else 0
    columns = (rotation + torch.arange(width).expand(outputs, width)) % width
    own = conv.get_parameter("weight")
    with torch.no_grad():
        own.copy_(torch.zeros_like(weight).scatter(1, columns, weight)[:, :, None, None])
    dx, dw = torch.autograd.grad(conv(x), [x, own], case["dy"])
    return dx, dw[:, :, 0, 0].gather(1, columns)


def error(found: Tensor, truth: Tensor) -> str:
    """Return the largest error relative to the largest exact entry, as text.

    Args:
        found: Gradient to check.
        truth: Exact gradient.
    """
    size = float((found - truth).abs().max() / truth.abs().max())
    return f"{size:.1e}" if size > ROUNDING else f"< {ROUNDING:.0e}"


def main() -> None:
    """Print a row for each golden case."""
    print("channels  groups  overlap   step    dsx: dx       dw  published: dx       dw")
    for path in sorted(GOLDEN.glob("scc_*.npz")):
        with np.load(path) as fields:
            case = {name: torch.from_numpy(fields[name]) for name in fields.files}
        dx, dw = dsx_gradients(case)
        overlap, (outputs, width) = float(case["overlap"]), case["weight"].shape
        print(
            f"{case['x'].shape[1]:2} -> {outputs:2}  {int(case['groups']):6}  {overlap:7.2f}"
            f"  {(1 - overlap) * width:5.2f}"
            f"  {error(dx, case['dx_rpw']):>9}  {error(dw, case['dw_rpw']):>7}"
            f"  {error(case['cuda_dx'], case['dx_kernel']):>13}"
            f"  {error(case['cuda_dw'], case['dw_kernel']):>7}"
        )


if __name__ == "__main__":
    main()
