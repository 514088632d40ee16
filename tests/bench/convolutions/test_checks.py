"""Checks that refuse wrong outputs and gradients."""

import pytest
import torch
from torch import Tensor, nn

from dsx.bench.convolutions.checks import (
    Reference,
    check_gradients,
    check_output,
    check_outputs,
    step_gradients,
)
from dsx.bench.convolutions.contenders import DENSE, Contender
from dsx.conv import build, preset
from dsx.errors import WorkFailed


def test_a_single_missing_weight_is_found() -> None:
    conv = nn.Conv2d(512, 8, 3, padding=1, bias=False)
    x = torch.randn(2, 512, 4, 4)
    expected = conv(x).detach()
    check_output("a case", "dsx", conv(x).detach() * (1 + 1e-6), expected)
    with torch.no_grad():
        conv.weight[3, 5, 1, 1] = 0
    with pytest.raises(WorkFailed, match=r"^a case: the output of dsx is wrong \(relative error"):
        check_output("a case", "dsx", conv(x).detach(), expected)


@pytest.mark.parametrize(
    ("found", "message"),
    [(torch.full((2,), torch.nan), "relative error nan"), (torch.ones(3), r"\(3,\) instead of")],
)
def test_nan_and_other_shapes_are_refused(found: Tensor, message: str) -> None:
    with pytest.raises(WorkFailed, match=message):
        check_output("a case", "dsx", found, torch.ones(2))


def test_a_missing_gradient_counts_as_zero() -> None:
    one, zero = torch.ones(2), torch.zeros(2)
    check_gradients("a case", "dsx", [one, None, zero], [one, None, None])
    with pytest.raises(WorkFailed, match="gradient 1 of dsx is wrong"):
        check_gradients("a case", "dsx", [one, None], [one, one])


def test_rounding_errors_of_a_zero_gradient_are_allowed() -> None:
    one, tiny = torch.ones(2), torch.full((2,), 1e-12)
    check_gradients("a case", "dsx", [one, tiny], [one, -tiny])


def test_every_equal_contender_is_checked() -> None:
    one, other = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
    x = torch.randn(1, 2, 3, 3)
    contenders = {
        DENSE: Contender(module=one, size=1),
        "grouped": Contender(module=other, size=1, equal=False),
    }
    assert check_outputs("a case", x, {"dsx": one}, contenders) == 2
    contenders["composition"] = Contender(module=other, size=1, channels_last=True)
    with pytest.raises(WorkFailed, match="the output of composition is wrong"):
        check_outputs("a case", x, {"dsx": one}, contenders)
    with pytest.raises(WorkFailed, match="the output of dsx is wrong"):
        check_outputs("a case", x, {"dsx": other}, contenders)


def test_the_gradients_of_a_convolution_are_those_of_its_dense_weight() -> None:
    conv = build(preset("ssc", kernel_shape="corners"), nn.Conv2d(8, 8, 3, padding=1)).double()
    x = torch.randn(2, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(2, 8, 5, 5, dtype=torch.float64)
    expected = step_gradients(Reference(conv), x, gradient)
    assert len(expected) == 3
    check_gradients("a case", "dsx", step_gradients(conv, x, gradient), expected)
