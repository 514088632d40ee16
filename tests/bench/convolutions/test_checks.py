"""Checks that refuse wrong outputs and gradients."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dsx.bench.convolutions.checks import (
    check_gradients,
    check_output,
    check_outputs,
    check_steps,
    reference_step,
    step,
)
from dsx.bench.convolutions.contenders import (
    OWN,
    Contender,
    Lineup,
    Reference,
    Weights,
    line_up,
)
from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import PRESETS
from dsx.conv import build, preset
from dsx.errors import WorkFailed

LAYER = Layer(in_channels=8, out_channels=16, side=5)
SLIDING = {
    OWN, "dense", "dense channels last", "grouped", "grouped channels last", "composition",
}  # fmt: skip


def lineup() -> Lineup:
    (operator,) = (each for each in PRESETS if each.name == "scc g2 o.5")
    return line_up(operator, operator.layer(LAYER), 2)


def changed(tensor: Tensor) -> Tensor:
    """Change one element by a percent of the largest one."""
    wrong = tensor.clone()
    wrong[(0,) * wrong.dim()] += 0.01 * tensor.abs().max()
    return wrong


def forwards(found: Lineup) -> dict[str, Callable[[], Tensor]]:
    modules = {OWN: found.module} | {name: c.module for name, c in found.contenders.items()}
    return {name: functools.partial(module, found.x) for name, module in modules.items()}


def steps(found: Lineup, gradient: Tensor) -> dict[str, Callable[[], Any]]:
    modules = {OWN: found.module} | {name: c.module for name, c in found.contenders.items()}
    x = found.x.clone().requires_grad_()
    return {name: functools.partial(step, module, x, gradient) for name, module in modules.items()}


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
    assert check_gradients("a case", "dsx", [one, None, zero], [one, None, None]) == 2
    with pytest.raises(WorkFailed, match="gradient 1 of dsx is wrong"):
        check_gradients("a case", "dsx", [one, None], [one, one])


def test_rounding_errors_of_a_zero_gradient_are_allowed() -> None:
    one, tiny = torch.ones(2), torch.full((2,), 1e-12)
    assert check_gradients("a case", "dsx", [one, tiny], [one, -tiny]) == 2
    with pytest.raises(WorkFailed, match="gradient 1 of dsx is wrong"):
        check_gradients("a case", "dsx", [one, 1e6 * tiny], [one, -1e6 * tiny])


@pytest.mark.parametrize("name", sorted(SLIDING))
def test_the_output_of_every_contender_is_checked(name: str) -> None:
    found = lineup()
    runs = forwards(found)
    assert runs.keys() == SLIDING
    assert check_outputs("a case", found, runs) == 6
    run = runs[name]
    with pytest.raises(WorkFailed, match=f"^a case: the output of {name} is wrong"):
        check_outputs("a case", found, {**runs, name: lambda: changed(run())})
    with pytest.raises(WorkFailed, match=f"^a case: the output of {name} has the shape"):
        check_outputs("a case", found, {**runs, name: lambda: run()[1:]})


def test_a_contender_with_other_weights_has_the_same_shape() -> None:
    found, gradient = lineup(), torch.randn(2, 16, 5, 5)
    smaller = nn.Conv2d(8, 12, 1, groups=2, bias=False)
    found.contenders["grouped"] = Contender(module=smaller, size=1, weights=Weights.OTHER)
    message = r"^a case: the output of grouped has the shape \(2, 12, 5, 5\) instead of \(2, 16"
    with pytest.raises(WorkFailed, match=message):
        check_outputs("a case", found, forwards(found))
    passes = steps(found, gradient)
    passes["grouped"] = steps(found, gradient[:, :12])["grouped"]
    with pytest.raises(WorkFailed, match=message):
        check_steps("a case", found, gradient, passes)


@pytest.mark.parametrize("name", sorted(SLIDING))
@pytest.mark.parametrize("number", [0, 1])
def test_the_step_of_every_contender_is_checked(name: str, number: int) -> None:
    found, gradient = lineup(), torch.randn(2, 16, 5, 5)
    runs = steps(found, gradient)
    # The output, and the gradients of the input and of the weight.
    assert check_steps("a case", found, gradient, runs) == 6 * 3
    output, gradients = runs[name]()
    wrong = tuple(changed(each) if n == number else each for n, each in enumerate(gradients))
    with pytest.raises(WorkFailed, match=f"^a case: gradient {number} of {name} is wrong"):
        check_steps("a case", found, gradient, {**runs, name: lambda: (output, wrong)})
    with pytest.raises(WorkFailed, match=f"^a case: the output of {name} is wrong"):
        check_steps("a case", found, gradient, {**runs, name: lambda: (changed(output), gradients)})


def test_the_expected_gradients_are_those_of_the_convolution_and_of_its_dense_weight() -> None:
    conv = build(preset("ssc", kernel_shape="corners"), nn.Conv2d(8, 8, 3, padding=1)).double()
    x = torch.randn(2, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(2, 8, 5, 5, dtype=torch.float64)
    expected = reference_step(Reference(conv), x, gradient)
    dense = conv.geometry.conv2d(conv.dense_weight(), conv.dense_bias())
    for weights, module in ((Weights.OPERATOR, conv), (Weights.DENSE, dense)):
        output, gradients = step(module, x, gradient)
        torch.testing.assert_close(output, expected[weights][0])
        assert len(gradients) == 3
        assert check_gradients("a case", "dsx", gradients, expected[weights][1], 1e-12) == 3
