"""What a lower precision may be off by."""

import copy

from torch import Tensor

from dsx.conv import DsxConv
from tests.conv.strategies import Case, reference


def magnitude(case: Case, module: DsxConv) -> Tensor:
    """Give sum |W| |x| + |b| of each output: what rounding errors are relative to."""
    bias = module.dense_bias()
    weight = module.double().dense_weight().abs()
    return reference(case.conv, weight, None if bias is None else bias.double().abs(), case.x.abs())


def assert_within(out: Tensor, case: Case, module: DsxConv, unit: float) -> None:
    """Compare with float64: each product passes at most eight roundings.

    Those are the image, the weight, the result, and for a separable convolution the second weight,
    the image between its stages and the biases; sums are kept in float32, where float64 tells no
    difference, or lose far less than the eight.
    """
    exact = copy.deepcopy(module).double()
    expected = reference(case.conv, exact.dense_weight(), exact.dense_bias(), case.x)
    bound = 8 * unit * magnitude(case, exact) + 1e-30
    assert bool(((out.double() - expected).abs() <= bound).all())
