"""Checks of outputs and gradients before anything is timed."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dsx.bench.convolutions.contenders import DENSE, Contender
from dsx.conv import DsxConv
from dsx.errors import WorkFailed

TOLERANCE = 1e-4
"""Largest error of an output in float32, relative to the largest expected output. Sums of up to
9,216 products differ by less than 1e-5; a single missing weight causes an error of over 1e-3."""
GRADIENT_TOLERANCE = 1e-3
"""The same for gradients of weights, which are sums over all pixels of a batch."""
ZERO = 1e-4
"""Size of a gradient, relative to the largest one, below which only rounding errors are left: the
gradient of a bias before a BN is zero."""


class Reference(nn.Module):
    """The dense convolution with the weight of a convolution of dsx, differentiable.

    Args:
        conv: Convolution whose weight is used.
    """

    def __init__(self, conv: DsxConv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        geometry = self.conv.geometry
        weight, bias = self.conv.dense_weight(), self.conv.dense_bias()
        return geometry.convolve(input, weight, bias, geometry.whole, 1)


def check_output(case: str, name: str, found: Tensor, expected: Tensor) -> None:
    """Check the output of a contender.

    Args:
        case: Description of the case.
        name: Name of the contender.
        found: Output of the contender.
        expected: Output of the dense convolution with the same weights.

    Raises:
        WorkFailed: If the output is wrong.
    """
    check_close(case, f"the output of {name}", found, expected, TOLERANCE)


def check_outputs(
    case: str, x: Tensor, own: Mapping[str, nn.Module], contenders: Mapping[str, Contender]
) -> int:
    """Check the outputs of modules of dsx and of their contenders.

    Args:
        case: Description of the case.
        x: Input, (B, Cin, H, W).
        own: Modules of dsx by name.
        contenders: The contenders by name, with the dense one.

    Returns:
        The number of checked outputs.

    Raises:
        WorkFailed: If an output is wrong.
    """
    equal = {name: each for name, each in contenders.items() if each.equal}
    with torch.inference_mode():
        expected = equal[DENSE].module(x)
        for name, module in own.items():
            check_output(case, name, module(x), expected)
        for name, each in equal.items():
            check_output(case, name, each.module(each.input(x)), expected)
    return len(own) + len(equal)


def check_gradients(
    case: str,
    name: str,
    found: Sequence[Tensor | None],
    expected: Sequence[Tensor | None],
    tolerance: float = GRADIENT_TOLERANCE,
) -> None:
    """Check the gradients of a contender.

    Args:
        case: Description of the case.
        name: Name of the contender.
        found: Gradients of the contender, of the input and of each parameter.
        expected: Gradients of the dense convolution with the same weights.
        tolerance: Largest error relative to the largest element of a gradient.

    Raises:
        WorkFailed: If a gradient is wrong.
    """
    largest = max(float(each.abs().max()) for each in expected if each is not None)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        # torch returns None for a parameter without influence.
        present = one if other is None else other
        if present is None:
            continue
        one, other = (torch.zeros_like(present) if x is None else x for x in (one, other))
        what = f"gradient {number} of {name}"
        check_close(case, what, one, other, tolerance, ZERO * largest)


def check_close(
    case: str, what: str, found: Tensor, expected: Tensor, tolerance: float, floor: float = 0.0
) -> None:
    """Check a tensor against the expected one.

    Args:
        case: Description of the case.
        what: Name of the tensor.
        found: The tensor.
        expected: The expected tensor.
        tolerance: Largest error relative to the largest expected element.
        floor: Least value of the largest expected element for this purpose.

    Raises:
        WorkFailed: If the tensor is wrong.
    """
    if found.shape != expected.shape:
        shapes = f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
        raise WorkFailed(f"{case}: {what} has the shape {shapes}; nothing is timed")
    scale = max(float(expected.abs().max()), floor, torch.finfo(expected.dtype).tiny)
    error = float((found - expected).abs().max()) / scale
    # Not `error > tolerance`, because a NaN must fail, too.
    if not error <= tolerance:
        raise WorkFailed(
            f"{case}: {what} is wrong (relative error {error:.1e}, allowed: {tolerance:g}); "
            "nothing is timed"
        )


def step_gradients(module: nn.Module, x: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Run a forward and a backward pass.

    Args:
        module: Module to run.
        x: Input that requires a gradient, (B, Cin, H, W).
        gradient: Gradient of the output, (B, Cout, OH, OW).

    Returns:
        The gradients of the input and of each parameter; None for one without influence.
    """
    wanted = [x, *(each for each in module.parameters() if each.requires_grad)]
    return torch.autograd.grad(module(x), wanted, gradient, allow_unused=True)
