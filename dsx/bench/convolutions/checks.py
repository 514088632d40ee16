"""Checks of outputs and gradients before anything is timed."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from dsx.bench.convolutions.contenders import Lineup, Reference, Weights
from dsx.errors import WorkFailed
from dsx.measure import this_device
from dsx.process import torch_threads

TOLERANCE = 1e-4
"""Largest error of an output in float32, relative to the largest expected output. Sums of up to
9,216 products differ by less than 1e-5; a single missing weight causes an error of over 1e-3."""
GRADIENT_TOLERANCE = 1e-3
"""The same for gradients of weights, which are sums over all pixels of a batch."""
ZERO = 1e-4
"""Size of a gradient, relative to the largest one, below which only rounding errors are left: the
gradient of a bias before a BN is zero."""

Gradients = tuple[Tensor | None, ...]
"""Gradients of the input and of each parameter; None for a parameter without influence."""


def step(module: nn.Module, x: Tensor, gradient: Tensor) -> tuple[Tensor, Gradients]:
    """Run a forward and a backward pass.

    Args:
        module: Module to run.
        x: Input that requires a gradient, (B, Cin, H, W).
        gradient: Gradient of the output, (B, Cout, OH, OW).

    Returns:
        The output and the gradients.
    """
    output = module(x)
    wanted = [x, *(each for each in module.parameters() if each.requires_grad)]
    return output.detach(), torch.autograd.grad(output, wanted, gradient, allow_unused=True)


def reference_step(
    reference: Reference, x: Tensor, gradient: Tensor
) -> dict[Weights, tuple[Tensor, Gradients]]:
    """Compute the expected output and gradients of a forward and a backward pass in float64.

    Args:
        reference: Reference of the convolution.
        x: Input that requires a gradient, (B, Cin, H, W), float64.
        gradient: Gradient of the output, (B, Cout, OH, OW), float64.

    Returns:
        Output and gradients of a module with the parameters of the convolution, and of one with its
        dense weight.
    """
    dense = reference.dense()
    output = reference.convolve(x, *dense)
    dense_wanted = [each for each in dense if each is not None]
    wanted = [x, *dense_wanted, *(each for each in reference.parameters() if each.requires_grad)]
    found = torch.autograd.grad(output, wanted, gradient, allow_unused=True)
    end = 1 + len(dense_wanted)
    return {
        Weights.OPERATOR: (output.detach(), (found[0], *found[end:])),
        Weights.DENSE: (output.detach(), found[:end]),
    }


def check_outputs(case: str, lineup: Lineup, runs: Mapping[str, Callable[[], Tensor]]) -> int:
    """Check the outputs of forward passes.

    Args:
        case: Description of the case.
        lineup: The convolution and its contenders.
        runs: Forward pass of each contender by its name, and of modules of dsx by any other name.

    Returns:
        The number of checked outputs.

    Raises:
        WorkFailed: If an output is wrong.
    """
    with torch.inference_mode():
        x = lineup.x.double()
        with _all_cores():
            expected = lineup.reference(x)
        for name, run in runs.items():
            contender = lineup.contenders.get(name)
            if contender is None or contender.weights is not Weights.OTHER:
                check_output(case, name, run(), expected)
            else:
                output = run()
                check_shape(case, f"the output of {name}", output, expected)
                with _all_cores():
                    other = _double(contender.module)(x)
                check_output(case, name, output, other)
    return len(runs)


def check_steps(
    case: str,
    lineup: Lineup,
    gradient: Tensor,
    runs: Mapping[str, Callable[[], tuple[Tensor, Gradients]]],
) -> int:
    """Check the outputs and gradients of forward and backward passes.

    Args:
        case: Description of the case.
        lineup: The convolution and its contenders.
        gradient: Gradient of the output, (B, Cout, OH, OW).
        runs: Pass of each contender by its name, and of the convolution of dsx by any other name.

    Returns:
        The number of checked outputs and gradients.

    Raises:
        WorkFailed: If an output or a gradient is wrong.
    """
    x, gradient = lineup.x.double().requires_grad_(), gradient.double()
    with _all_cores():
        references = reference_step(Reference(lineup.conv), x, gradient)
    count = 0
    for name, run in runs.items():
        contender = lineup.contenders.get(name)
        weights = Weights.OPERATOR if contender is None else contender.weights
        output, gradients = run()
        if contender is None or weights is not Weights.OTHER:
            expected = references[weights]
        else:
            check_shape(case, f"the output of {name}", output, references[Weights.DENSE][0])
            with _all_cores():
                expected = step(_double(contender.module), x, gradient)
        check_output(case, name, output, expected[0])
        count += 1 + check_gradients(case, name, gradients, expected[1])
    return count


def check_output(case: str, name: str, found: Tensor, expected: Tensor) -> None:
    """Check the output of a contender.

    Args:
        case: Description of the case.
        name: Name of the contender.
        found: Output of the contender.
        expected: Expected output.

    Raises:
        WorkFailed: If the output is wrong.
    """
    check_close(case, f"the output of {name}", found, expected, TOLERANCE)


def check_gradients(
    case: str,
    name: str,
    found: Sequence[Tensor | None],
    expected: Sequence[Tensor | None],
    tolerance: float = GRADIENT_TOLERANCE,
) -> int:
    """Check the gradients of a contender.

    Args:
        case: Description of the case.
        name: Name of the contender.
        found: Gradients of the contender, of the input and of each parameter.
        expected: Expected gradients.
        tolerance: Largest error relative to the largest element of a gradient.

    Returns:
        The number of checked gradients.

    Raises:
        WorkFailed: If a gradient is wrong.
    """
    count, largest = 0, max(float(each.abs().max()) for each in expected if each is not None)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        # torch returns None for a parameter without influence.
        present = one if other is None else other
        if present is None:
            continue
        one, other = (torch.zeros_like(present) if x is None else x for x in (one, other))
        what = f"gradient {number} of {name}"
        check_close(case, what, one, other, tolerance, ZERO * largest)
        count += 1
    return count


def check_shape(case: str, what: str, found: Tensor, expected: Tensor) -> None:
    """Check the shape of a tensor.

    Args:
        case: Description of the case.
        what: Name of the tensor.
        found: The tensor.
        expected: Tensor of the expected shape.

    Raises:
        WorkFailed: If the shape is wrong.
    """
    if found.shape != expected.shape:
        shapes = f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
        raise WorkFailed(f"{case}: {what} has the shape {shapes}; nothing is timed")


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
    check_shape(case, what, found, expected)
    scale = max(float(expected.abs().max()), floor, torch.finfo(expected.dtype).tiny)
    error = float((found - expected).abs().max()) / scale
    # Not `error > tolerance`, because a NaN must fail, too.
    if not error <= tolerance:
        raise WorkFailed(
            f"{case}: {what} is wrong (relative error {error:.1e}, allowed: {tolerance:g}); "
            "nothing is timed"
        )


def _double(module: nn.Module) -> nn.Module:
    """Return a copy of a module in float64, which torch computes by other code than float32."""
    return copy.deepcopy(module).double()


def _all_cores() -> AbstractContextManager[None]:
    """Compute expected values with all cores; only contenders need the threads of the case."""
    return torch_threads(this_device().cores)
