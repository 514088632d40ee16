"""Bounds on the rounding errors of a lower precision."""

import copy

from torch import Tensor

from dsx.conv import DsxConv
from tests.conv.strategies import Case, reference


def magnitude(case: Case, module: DsxConv) -> Tensor:
    """Return sum |W| |x| + |b| of each output, the scale of its rounding errors."""
    bias = module.dense_bias()
    weight = module.double().dense_weight().abs()
    return reference(case.conv, weight, None if bias is None else bias.double().abs(), case.x.abs())


def assert_within(out: Tensor, case: Case, module: DsxConv, unit: float) -> None:
    """Compare with float64, with at most eight roundings of each product.

    These are the image, the weight, the result, and for a separable convolution the second weight,
    the intermediate image and the biases. Sums are accumulated in float32, whose errors are much
    smaller.
    """
    exact = copy.deepcopy(module).double()
    expected = reference(case.conv, exact.dense_weight(), exact.dense_bias(), case.x)
    bound = 8 * unit * magnitude(case, exact) + 1e-30
    assert bool(((out.double() - expected).abs() <= bound).all())
