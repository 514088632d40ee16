"""The kernels of GPUs compute the convolutions of torch and their gradients."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dsx.conv.native.gpu.launch import MAX_ELEMENTS, convolve, differentiate
from dsx.conv.native.gpu.lists import GpuLists, gpu_lists
from dsx.errors import DsxError
from tests.conv.native.gpu.cases import CASES, STRIDED, Case
from tests.conv.native.gpu.devices import KERNELS, NEEDS_TRITON, TOLERANCE

ALL = {**CASES, **STRIDED}
DTYPES = [torch.float32, torch.float64]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
}

on_device = pytest.mark.parametrize("device", KERNELS)


def close(out: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCE[expected.dtype]
    torch.testing.assert_close(out.cpu(), expected, rtol=tolerance, atol=tolerance)


def framed(x: Tensor, device: str) -> Tensor:
    """Copy a tensor to a device, with NaN before and after it in memory."""
    frame = torch.full((256,), torch.nan, dtype=x.dtype)
    memory = torch.cat([frame, x.detach().flatten(), frame]).to(device)
    return memory[256:-256].view(x.shape)


def lists_of(case: Case, device: str) -> GpuLists:
    plan = case.plan
    return gpu_lists(plan.table, plan.source, False, torch.device(device))


def reference(case: Case, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return case.geometry.convolve(x, weight, bias, case.geometry.whole, 1)


@on_device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_the_output_is_that_of_torch(name: str, dtype: torch.dtype, device: str) -> None:
    case = ALL[name]
    x, weight, bias = case.tensors(dtype)
    lists = lists_of(case, device)
    on_device = framed(x, device), framed(weight, device)
    out = convolve(*on_device, framed(bias, device), lists, case.geometry)
    close(out, reference(case, x, weight, bias))
    close(convolve(*on_device, None, lists, case.geometry), reference(case, x, weight, None))


@on_device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_the_gradient_of_live_weights_is_that_of_torch(
    name: str, dtype: torch.dtype, device: str
) -> None:
    case = ALL[name]
    x, weight, _ = case.tensors(dtype)
    weight.requires_grad_()
    out = reference(case, x, weight, None)
    gradient = torch.randn_like(out)
    (of_weight,) = torch.autograd.grad(out, weight, gradient)
    lists = lists_of(case, device)
    found = differentiate(framed(x, device), framed(gradient, device), lists, case.geometry)
    close(found, of_weight.flatten()[lists.stored.cpu()])


@on_device
def test_pixels_are_divided_into_parts(device: str) -> None:
    # 9 images of 35 pixels are several tiles of 64 pixels.
    case = CASES["pointwise"]
    x, weight, bias = case.tensors(torch.float32, images=9)
    weight.requires_grad_()
    out = reference(case, x, weight, bias)
    gradient = torch.randn_like(out)
    (of_weight,) = torch.autograd.grad(out, weight, gradient)
    lists = lists_of(case, device)
    close(
        convolve(x.to(device), weight.detach().to(device), bias.to(device), lists, case.geometry),
        out.detach(),
    )
    found = differentiate(x.to(device), gradient.to(device), lists, case.geometry)
    close(found, of_weight.flatten()[lists.stored.cpu()])


@on_device
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["pointwise", "uneven kernel, padding and dilation"])
def test_a_residual_and_an_activation(name: str, activation: str, device: str) -> None:
    case = CASES[name]
    x, weight, bias = case.tensors(torch.float64)
    out = reference(case, x, weight, bias)
    residual = 4 * torch.randn_like(out)
    residual[0, 0, 0, 0] = torch.nan
    found = convolve(
        x.to(device), weight.to(device), bias.to(device), lists_of(case, device), case.geometry,
        residual.to(device), activation,
    )  # fmt: skip
    expected = ACTIVATIONS[activation](out + residual)
    assert found[0, 0, 0, 0].isnan()
    close(found[1:], expected[1:])
    close(found[0, 1:], expected[0, 1:])


@on_device
def test_tensors_that_are_not_contiguous(device: str) -> None:
    case = CASES["dense"]
    x, weight, bias = (tensor.to(device) for tensor in case.tensors(torch.float64))
    out = convolve(
        x.contiguous(memory_format=torch.channels_last),
        weight.contiguous(memory_format=torch.channels_last),
        torch.stack([bias, bias], 1)[:, 0],
        lists_of(case, device),
        case.geometry,
        x.new_zeros(case.geometry.out_channels).view(1, -1, 1, 1).expand(2, -1, *case.hw),
    )
    close(out, reference(case, x.cpu(), weight.cpu(), bias.cpu()))


@on_device
def test_what_no_output_reads_does_not_matter(device: str) -> None:
    case = CASES["dead channels, outputs and positions"]
    x, weight, bias = case.tensors(torch.float32)
    expected = reference(case, x, weight, bias)
    x[:, 2] = torch.nan
    lists = lists_of(case, device)
    close(
        convolve(x.to(device), weight.to(device), bias.to(device), lists, case.geometry), expected
    )


def test_an_empty_batch() -> None:
    case = CASES["pointwise"]
    x, weight, bias = case.tensors(torch.float32, images=0)
    lists = lists_of(case, "cpu")
    assert convolve(x, weight, bias, lists, case.geometry).shape == (0, 20, 5, 7)
    gradient = differentiate(x, torch.zeros(0, 20, 5, 7), lists, case.geometry)
    assert torch.equal(gradient, torch.zeros(case.live.sum()))


def test_a_tensor_that_is_too_large_is_refused() -> None:
    case = CASES["pointwise"]
    _, weight, bias = case.tensors(torch.float32)
    lists = lists_of(case, "cpu")
    for shape in ((1, 40, MAX_ELEMENTS // 40 + 1, 1), (MAX_ELEMENTS + 1, 40, 1, 1)):
        x = torch.zeros(()).expand(shape)
        with pytest.raises(DsxError, match=r"too large for the kernels for GPUs \(allowed: at"):
            convolve(x, weight, bias, lists, case.geometry)
        with pytest.raises(DsxError, match=r"too large for the kernels for GPUs \(allowed: at"):
            differentiate(x, x[:, :20], lists, case.geometry)


@pytest.mark.long
@NEEDS_TRITON
def test_the_kernels_compile_for_gpus() -> None:
    # The compiler needs no GPU, but a process without the interpreter.
    command = [sys.executable, "-m", "tests.conv.native.gpu.compile_kernels"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "48 kernels"
