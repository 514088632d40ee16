"""The operators of GPUs select the faster form, and state why they are not available."""

import dataclasses
import hashlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dsx.conv.native import kernel, operators
from dsx.conv.native.gpu import operators as gpu
from dsx.conv.native.gpu import versions
from dsx.conv.native.gpu.lists import gpu_lists
from dsx.conv.native.module import BlockSparseConv2d
from dsx.conv.native.operators import block_sparse_conv2d, geometry_numbers
from dsx.conv.native.plan import make_plan
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import DsxError, Unsupported
from tests.conv.native.gpu.cases import CASES, STRIDED, case, sliding
from tests.conv.native.gpu.devices import (
    HAS_GPU,
    HAS_TRITON,
    KERNELS,
    NEEDS_GPU,
    NEEDS_TRITON,
    TOLERANCE,
)

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


def close(out: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCE[expected.dtype]
    torch.testing.assert_close(out.cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", [*CASES, *STRIDED])
def test_the_dense_forms_are_the_same_functions(name: str) -> None:
    tested = {**CASES, **STRIDED}[name]
    geometry = tested.geometry
    x, weight, bias = tested.tensors(torch.float64)
    lists = gpu_lists(tested.plan.table, tested.plan.source, False, CPU)
    weight.requires_grad_()
    expected = geometry.convolve(x, weight, bias, geometry.whole, 1)
    gradient = torch.randn_like(expected)
    (of_weight,) = torch.autograd.grad(expected, weight, gradient)
    close(gpu.dense_conv2d(x, weight.detach(), bias, lists, geometry), expected.detach())
    found = gpu.dense_weight_gradient(x, gradient, lists, geometry)
    close(found, of_weight.flatten()[lists.stored])


@NEEDS_TRITON
@pytest.mark.long
def test_the_versions_are_those_of_the_sources_and_of_triton() -> None:
    digest = hashlib.sha256()
    for file in sorted(Path(gpu.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    assert versions() == {
        "kernels of dsx": digest.hexdigest()[:8],
        "triton": importlib.metadata.version("triton"),
    }


def test_without_a_gpu_the_reason_is_given() -> None:
    assert kernel.missing(torch.bfloat16, CUDA) == Unsupported(
        "the kernels for GPUs compute in float32 and float64 only, not in bfloat16"
    )
    found = kernel.missing(torch.float32, CUDA)
    if not HAS_GPU:
        assert found is not None and found.reason == "torch finds no NVIDIA GPU"
    elif not HAS_TRITON:
        assert found is not None
        assert found.reason == (
            "the kernels for GPUs need triton, which is not installed; install dsx[triton]"
        )


def test_tensors_of_different_kinds_are_refused() -> None:
    tested = CASES["pointwise"]
    x, weight, _ = tested.tensors(torch.float32)
    plans, numbers = tested.training_plans.tensors, geometry_numbers(tested.geometry)
    conv2d = operators._on_gpu(gpu.conv2d, 4)
    message = r"the input is torch\.float64 on cpu \(allowed: torch\.float32 on cpu\)"
    with pytest.raises(DsxError, match=message):
        conv2d(x.double(), weight, None, plans, numbers)
    with pytest.raises(DsxError, match=r"^input of shape \(2, 3, 5, 7\) \(allowed: \(B, 40, H, W"):
        conv2d(x[:, :3], weight, None, plans, numbers)
    with pytest.raises(DsxError, match="no kernels: the compiled kernels compute in float32 and"):
        conv2d(x.bfloat16(), weight.bfloat16(), None, plans, numbers)


def test_the_operators_are_registered_for_gpus() -> None:
    for name in (
        "block_sparse_conv2d", "block_sparse_conv2d_packed", "block_sparse_weight_gradient",
    ):  # fmt: skip
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"dsx::{name}", "CUDA")


def test_triton_is_not_imported_before_it_is_used() -> None:
    code = "import dsx.conv.native.operators, sys; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_weights_are_packed_by_torch_as_by_the_compiled_kernels() -> None:
    tested = CASES["sliding window"]
    _, weight, _ = tested.tensors(torch.float32)
    plan = tested.plan
    padded = torch.cat([weight.flatten(), weight.new_zeros(1)])
    assert torch.equal(gpu.pack(weight, plan.source), padded[plan.source.long()])


@pytest.mark.parametrize("device", KERNELS)
@pytest.mark.parametrize("name", CASES)
def test_a_training_step(name: str, device: str) -> None:
    tested = CASES[name]
    plans = tested.training_plans
    x, weight, bias = tested.tensors(torch.float32)
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
    geometry = tested.geometry
    expected = geometry.convolve(leaves[0], leaves[1], leaves[2], geometry.whole, 1)
    gradient = torch.randn_like(expected)
    of_x, of_weight, _ = torch.autograd.grad(expected, leaves, gradient)
    x, weight, bias, given = (each.to(device) for each in (x, weight, bias, gradient))
    out = gpu.conv2d(x, weight, bias, plans.tensors[:2], geometry)
    close(out, expected.detach())
    close(gpu.conv2d(given, weight, None, plans.tensors[2:], geometry.transposed()), of_x)
    found = gpu.weight_gradient(x, given, weight, plans.tensors[:2], geometry)
    close(found, of_weight * torch.from_numpy(tested.live))


@pytest.mark.parametrize("device", KERNELS)
def test_lists_and_choices_are_made_once(device: str) -> None:
    tested = CASES["pointwise"]
    table, source = plan = tested.training_plans.tensors[:2]
    x, weight, _ = (tensor.to(device) for tensor in tested.tensors(torch.float32))
    first = gpu.conv2d(x, weight, None, plan, tested.geometry)
    known = gpu.known_of(table, source, False, x.device)
    ((operator, shape, *_),) = known.faster
    assert (operator, shape) == ("conv2d", x.shape)
    for faster in (True, False):
        known.faster.update(dict.fromkeys(known.faster, faster))
        close(gpu.conv2d(x, weight, None, plan, tested.geometry), first.cpu())
    assert list(known.faster.values()) == [False]
    assert gpu.known_of(table, source, False, x.device) is known


def test_a_plan_that_was_changed_in_place_is_read_again() -> None:
    tested = CASES["sliding window"]
    table = tested.plan.table
    before = gpu.known_of(table, None, False, CPU).lists
    other = make_plan(np.roll(tested.live, 1, axis=1), tested.geometry).table
    table.copy_(other)
    after = gpu.known_of(table, None, False, CPU).lists
    assert not torch.equal(before.channels, after.channels)
    assert torch.equal(after.channels, gpu_lists(other, None, False, CPU).channels)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
}


@pytest.mark.parametrize("device", KERNELS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_deployed_separable_block(activation: str, device: str) -> None:
    geometry = Geometry(
        in_channels=24,
        out_channels=20,
        kernel_size=(3, 3),
        stride=(2, 1),
        padding=(1, 0, 2, 1),
        dilation=(1, 1),
        padding_mode="zeros",
    )
    tested = case(20, 24, (6, 7), sliding(6, 3))
    plan = make_plan(tested.live, geometry)
    x, weight, bias = tested.tensors(torch.float64)
    filters, filter_bias = torch.randn(24, 1, 3, 3).double(), torch.randn(24).double()
    inner = geometry.convolve(x, filters, filter_bias, geometry.whole, 24)
    expected = F.conv2d(ACTIVATIONS[activation](inner), weight, bias)
    residual = torch.randn_like(expected)
    found = gpu.conv2d_packed(
        x.to(device), gpu.pack(weight, plan.source).to(device), bias.to(device),
        residual.to(device), filters.to(device), filter_bias.to(device), None, None, plan.table,
        geometry, "relu", activation,
    )  # fmt: skip
    close(found, F.relu(expected + residual))


@pytest.mark.parametrize("device", KERNELS)
def test_maps_are_merged(device: str) -> None:
    tested = CASES["dead channels, outputs and positions"]
    plan, geometry = tested.plan, dataclasses.replace(tested.geometry, out_channels=15)
    x, weight, _ = tested.tensors(torch.float64)
    maps = geometry.convolve(x, weight, None, geometry.whole, 1)
    merge = torch.randint(0, maps.shape[1], (15, 3), dtype=torch.int32)
    scale, bias = torch.randn(15).double(), torch.randn(15).double()
    expected = maps[:, merge.long()].sum(2) * scale[:, None, None] + bias[:, None, None]
    residual = torch.randn(expected.shape[1:]).double()
    packed = gpu.pack(weight, plan.source).to(device)
    found = gpu.conv2d_packed(
        x.to(device), packed, bias.to(device), residual.to(device), None, None, merge.to(device),
        scale.to(device), plan.table, geometry, "relu6", "none",
    )  # fmt: skip
    close(found, F.relu6(expected + residual))
    found = gpu.conv2d_packed(
        x.to(device), packed, None, None, None, None, merge.to(device), None, plan.table, geometry,
        "none", "none",
    )  # fmt: skip
    close(found, maps[:, merge.long()].sum(2))


class TestOnAGpu:
    """The operators as autograd and the dispatcher call them."""

    pytestmark = NEEDS_GPU

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("name", CASES)
    def test_autograd(self, name: str, dtype: torch.dtype) -> None:
        tested = CASES[name]
        tensors = tested.tensors(dtype)
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        geometry = tested.geometry
        expected = geometry.convolve(leaves[0], leaves[1], leaves[2], geometry.whole, 1)
        gradient = torch.randn_like(expected)
        of_x, of_weight, of_bias = torch.autograd.grad(expected, leaves, gradient)
        on_gpu = [tensor.cuda().requires_grad_() for tensor in tensors]
        out = block_sparse_conv2d(on_gpu[0], on_gpu[1], on_gpu[2], tested.training_plans)
        close(out.detach(), expected.detach())
        found = torch.autograd.grad(out, on_gpu, gradient.cuda())
        close(found[0], of_x)
        close(found[1], of_weight * torch.from_numpy(tested.live))
        close(found[2], of_bias)

    def test_packed_weights(self) -> None:
        tested = STRIDED["strided"]
        x, weight, bias = tested.tensors(torch.float32)
        plan = tested.plan
        geometry = tested.geometry
        arguments = (geometry_numbers(geometry), "relu", "none")
        packed = kernel.pack(weight.cuda(), plan.source)
        out = torch.ops.dsx.block_sparse_conv2d_packed(
            x.cuda(), packed, bias.cuda(), None, None, None, None, None, plan.table.cuda(),
            *arguments,
        )  # fmt: skip
        close(out, F.relu(geometry.convolve(x, weight, bias, geometry.whole, 1)))

    def test_a_deployed_module(self) -> None:
        tested = CASES["dead channels, outputs and positions"]
        x, weight, bias = tested.tensors(torch.float32)
        geometry = tested.geometry
        expected = geometry.convolve(x, weight, bias, geometry.whole, 1)
        module = BlockSparseConv2d(tested.plan, weight.cuda(), bias.cuda(), geometry)
        close(module(x.cuda()), expected)
        with pytest.raises(DsxError, match=r"on cpu \(allowed: torch\.float32 on cuda:0\)"):
            module(x)
        if kernel.missing(torch.float32, CPU) is None:
            module = BlockSparseConv2d(tested.plan, weight, bias, geometry)
            close(module(x), expected)
            close(module.cuda()(x.cuda()), expected)

    def test_bfloat16_is_refused(self) -> None:
        tested = CASES["pointwise"]
        x, weight, _ = (tensor.cuda().bfloat16() for tensor in tested.tensors(torch.float32))
        with pytest.raises(DsxError, match="not in bfloat16"):
            block_sparse_conv2d(x, weight, None, tested.training_plans)
