"""Block-sparse convolution as operators: gradients, and what compilers see."""

import os
import shutil
from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.native.operators import (
    TrainingPlans,
    block_sparse_conv2d,
    geometry_numbers,
    training_plans,
)
from dsx.conv.native.plan import Mask
from dsx.errors import DsxError
from tests.conv.native.cases import (
    MASKS,
    assert_same,
    corners,
    geometry,
    integers,
    irregular,
    make_case,
    nothing,
    sliding,
)

pytestmark = pytest.mark.usefixtures("compiled")

COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
IMAGES = [(1, 16, 16), (3, 4, 4), (20, 7, 7), (3, 1, 1), (2, 3, 48), (3, 8, 8), (2, 28, 28)]
PADDINGS = [(1, 1, 1, 1), (0, 0, 0, 0), (2, 2, 2, 2), (0, 3, 5, 1)]


def plans_of(live: Mask, padding: tuple[int, int, int, int], dilation: int = 1) -> TrainingPlans:
    g = geometry(live, padding=padding, dilation=(dilation, dilation))
    return training_plans(live, g, np.arange(live.size).reshape(live.shape))


def dense(
    x: Tensor, weight: Tensor, bias: Tensor | None, live: Mask, plans: TrainingPlans
) -> Tensor:
    g = plans.geometry
    masked = weight * torch.from_numpy(live)
    return F.conv2d(F.pad(x, g.padding), masked, bias, dilation=g.dilation)


def assert_gradients(
    live: Mask, images: tuple[int, int, int], plans: TrainingPlans, dtype: torch.dtype
) -> None:
    """Compare the output and all gradients with those of a dense convolution in float64."""
    count, height, width = images
    tensors = [
        integers(count, live.shape[1], height, width, dtype=dtype),
        integers(*live.shape, dtype=dtype),
        integers(len(live), dtype=dtype),
    ]
    x, weight, bias = (tensor.requires_grad_() for tensor in tensors)
    y = block_sparse_conv2d(x, weight, bias, plans)
    gradient = integers(*y.shape, dtype=dtype)
    got = [y, *torch.autograd.grad(y, (x, weight, bias), gradient)]
    a, b, c = (tensor.detach().double().requires_grad_() for tensor in tensors)
    other = dense(a, b, c, live, plans)
    expected = [other, *torch.autograd.grad(other, (a, b, c), gradient.double())]
    for name, one, two in zip(("y", "x", "weight", "bias"), got, expected, strict=True):
        assert_same(one.detach(), two.detach().to(dtype), f"{name} of {images}, {plans.geometry}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MASKS)
def test_gradients(name: str, dtype: torch.dtype) -> None:
    live = MASKS[name](13, 10)
    dilations = cycle((1, 2, 1))
    for images, padding in product(IMAGES, PADDINGS):
        plans = plans_of(live, padding, next(dilations))
        if min(plans.geometry.out_hw(*images[1:])) > 0:
            assert_gradients(live, images, plans, dtype)


@given(
    sizes=st.tuples(*[st.integers(1, 12)] * 2, *[st.integers(1, 3)] * 2),
    images=st.tuples(st.integers(1, 4), *[st.integers(5, 20)] * 2),
    padding=st.tuples(*[st.integers(0, 4)] * 4),
    dilation=st.integers(1, 2),
    density=st.sampled_from([0, 0.1, 0.5, 1]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=50)
def test_gradients_of_drawn_masks(
    sizes: tuple[int, ...],
    images: tuple[int, int, int],
    padding: tuple[int, int, int, int],
    dilation: int,
    density: float,
    seed: int,
) -> None:
    live = np.random.default_rng(seed).random(sizes) < density
    assert_gradients(live, images, plans_of(live, padding, dilation), torch.float64)


@pytest.mark.parametrize(
    ("live", "padding"),
    [
        (irregular(5, 4), (1, 1, 1, 1)),
        (sliding(9, 4), (0, 0, 0, 0)),
        (corners(4, 3), (0, 2, 1, 3)),
        (nothing(3, 2), (1, 1, 1, 1)),
    ],
    ids=["irregular", "sliding", "corners", "nothing"],
)
def test_gradcheck(live: Mask, padding: tuple[int, int, int, int]) -> None:
    plans = plans_of(live, padding)
    x = torch.randn(2, live.shape[1], 4, 5, dtype=torch.float64, requires_grad=True)
    # The gradient of dead weights is zero; the output does not depend on them.
    weight = torch.randn(live.shape, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(len(live), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: block_sparse_conv2d(x, weight, bias, plans), (x, weight, bias)
    )


def test_second_derivatives() -> None:
    live = irregular(5, 3)
    plans = plans_of(live, (0, 2, 1, 1))
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(live.shape, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda x, weight, bias: block_sparse_conv2d(x, weight, bias, plans), (x, weight, bias)
    )


def test_gradients_of_some_arguments() -> None:
    live = irregular(5, 4)
    plans = plans_of(live, (1, 1, 1, 1))
    x, weight = integers(2, 4, 5, 6, dtype=torch.float64), integers(5, 4, 3, 3, dtype=torch.float64)
    assert not block_sparse_conv2d(x, weight, None, plans).requires_grad
    for wanted in (x, weight):
        wanted.requires_grad_()
        y = block_sparse_conv2d(x, weight, None, plans)
        (got,) = torch.autograd.grad(y.square().sum(), wanted)
        (expected,) = torch.autograd.grad(
            dense(x, weight, None, live, plans).square().sum(), wanted
        )
        assert_same(got, expected)
        wanted.requires_grad_(False)


def test_the_weight_can_be_stored_in_another_shape() -> None:
    # As a module stores only the window of each output.
    live = sliding(6, 8)
    stored = np.zeros(live.shape, np.int64)
    stored[live] = np.arange(live.sum())
    plans = training_plans(live, geometry(live), stored)
    weight = integers(6, 4, dtype=torch.float64).requires_grad_()
    x = integers(2, 8, 3, 5, dtype=torch.float64).requires_grad_()
    wide = torch.zeros(live.shape, dtype=torch.float64)
    wide[torch.from_numpy(live)] = weight.detach().flatten()
    wide.requires_grad_()
    got = torch.autograd.grad(
        block_sparse_conv2d(x, weight, None, plans).square().sum(), (x, weight)
    )
    expected = torch.autograd.grad(F.conv2d(x, wide).square().sum(), (x, wide))
    assert_same(got[0], expected[0])
    assert_same(got[1].flatten(), expected[1][torch.from_numpy(live)])


def arguments(name: str) -> tuple[Any, ...]:
    """Arguments of an operator."""
    live = irregular(9, 5)
    plans = plans_of(live, (1, 1, 1, 1))
    numbers = geometry_numbers(plans.geometry)
    case = make_case(live, (2, 6, 7), plans.geometry, torch.float32, residual=True)
    weight, x = torch.nan_to_num(case.weight), case.x
    if name == "block_sparse_conv2d":
        return x.requires_grad_(), weight.requires_grad_(), case.bias, plans.tensors, numbers
    if name == "block_sparse_weight_gradient":
        return x, torch.randn(2, 9, 6, 7), weight, plans.tensors, numbers
    pointwise = sliding(9, 5)
    g = geometry(pointwise, (2, 1), (1, 1, 1, 1), (1, 1), (3, 3))
    case = make_case(
        pointwise, (2, 6, 7), g, torch.float32, residual=True, depthwise_activation="relu", terms=2
    )
    layer = case.layer()
    return (
        case.x, layer.weights, layer.bias, case.residual, layer.depthwise, layer.depthwise_bias,
        layer.merge, layer.scale, layer.plan, geometry_numbers(case.geometry), "relu6", "relu",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["block_sparse_conv2d", "block_sparse_conv2d_packed", "block_sparse_weight_gradient"],
)
def test_opcheck(name: str) -> None:
    operator = getattr(torch.ops.dsx, name).default
    results = torch.library.opcheck(operator, arguments(name))
    assert set(results.values()) == {"SUCCESS"}


def test_the_packed_operator_computes_all_stages() -> None:
    live = sliding(9, 5)
    g = geometry(live, (2, 1), (1, 1, 1, 1), (1, 1), (3, 3))
    case = make_case(
        live, (2, 6, 7), g, torch.float64, residual=True, activation="relu6",
        depthwise_activation="relu", terms=2,
    )  # fmt: skip
    layer = case.layer()
    got = torch.ops.dsx.block_sparse_conv2d_packed(
        case.x, layer.weights, layer.bias, case.residual, layer.depthwise, layer.depthwise_bias,
        layer.merge, layer.scale, layer.plan, geometry_numbers(case.geometry), "relu6", "relu",
    )  # fmt: skip
    assert_same(got, case.expected())


class Network(nn.Module):
    """A block-sparse convolution between other operators."""

    def __init__(self) -> None:
        super().__init__()
        self.live = irregular(9, 5)
        self.plans = plans_of(self.live, (1, 1, 1, 1))
        self.weight = nn.Parameter(torch.randn(self.live.shape, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(9, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return block_sparse_conv2d(x.sin(), self.weight, self.bias, self.plans).cos()


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def assert_compiles(backend: str) -> None:
    network = Network()
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    inputs = (x, network.weight, network.bias)
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    got, expected = compiled(x), network(x)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    for one, two in zip(
        torch.autograd.grad(got.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("fresh_compiler")
def test_aot_eager() -> None:
    assert_compiles("aot_eager")


@pytest.mark.slow
# Inductor imports a deprecated module of torch.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler, none found")
@pytest.mark.usefixtures("fresh_compiler")
def test_inductor() -> None:
    assert_compiles("inductor")


# torch copies the deprecated class of its own.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
def test_an_exported_network_has_one_operator() -> None:
    network = Network()
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(network, (x,), dynamic_shapes={"x": {0: batch}})
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert called == ["aten.sin.default", "dsx.block_sparse_conv2d.default", "aten.cos.default"]
    decomposed = exported.run_decompositions()
    assert [str(node.target) for node in decomposed.graph.nodes if "dsx" in str(node.target)] == [
        "dsx.block_sparse_conv2d.default"
    ]
    other = torch.randn(3, 5, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(exported.module()(other), network(other))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_number_formats_are_refused_with_the_reason(dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    live = irregular(9, 5)
    plans = plans_of(live, (1, 1, 1, 1))
    x, weight = torch.zeros(2, 5, 6, 7), torch.zeros(live.shape)
    with pytest.raises(DsxError, match=f"^the compiled kernels compute in .* only, not in {name}$"):
        block_sparse_conv2d(x.to(dtype), weight.to(dtype), None, plans)
    with pytest.raises(DsxError, match=rf"^the input is {dtype} on cpu \(allowed: torch.float32"):
        block_sparse_conv2d(x.to(dtype), weight, None, plans)
