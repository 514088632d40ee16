"""The library for AArch64: cross-compiled, and run in an emulator."""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.compiling import SOURCES, Compiler, compile_library, find_compiler
from dsx.conv.native.library import ABI_VERSION
from dsx.conv.native.plan import make_plan
from dsx.conv.sparsity.geometry import Geometry

DRIVER = Path(__file__).parent / "driver.cpp"
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
"""Sums of up to 100 products of normally distributed numbers, in another order."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cross_compiler() -> Compiler:
    found = find_compiler("aarch64-linux-gnu-g++")
    if found is None or shutil.which(EMULATOR[0]) is None:
        pytest.skip("needs the Debian packages g++-aarch64-linux-gnu and qemu-user")
    return found


@pytest.fixture(scope="module")
def driver(cross_compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a program for AArch64 that calls the library."""
    folder = tmp_path_factory.mktemp("aarch64")
    compile_library(folder / "libdsx.so", cross_compiler, ["-Werror"])
    command = [*cross_compiler.command, "-std=c++17", "-I", str(SOURCES), str(DRIVER)]
    link = [str(folder / "libdsx.so"), "-Wl,-rpath,$ORIGIN", *cross_compiler.openmp]
    subprocess.run([*command, *link, "-o", str(folder / "driver")], check=True)
    return str(folder / "driver")


def test_the_baseline_is_used(driver: str) -> None:
    shown = subprocess.run([*EMULATOR, driver], capture_output=True, text=True, check=True).stdout
    assert dict(line.split(": ", 1) for line in shown.splitlines()) == {
        "interface": str(ABI_VERSION),
        "instruction sets": "baseline",
        "in use": "baseline",
        "use of avx2": "-1",
        "use of baseline": "0",
        "threads": "1",
    }


@dataclass(frozen=True)
class Case:
    """A convolution with a random mask, in which pairs of outputs share their live weights."""

    inputs: int = 9
    outputs: int = 21
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: int = 1
    size: tuple[int, int, int] = (2, 7, 10)
    density: float = 0.4
    depthwise: bool = False
    activation: str = "none"
    producer: str = "auto"
    threads: int = 1

    @property
    def geometry(self) -> Geometry:
        """Geometry of the convolution, or of the depthwise one."""
        return Geometry(
            in_channels=self.inputs,
            out_channels=self.outputs,
            kernel_size=self.kernel,
            stride=self.stride,
            padding=(self.padding,) * 4,
            dilation=self.dilation,
            padding_mode="zeros",
        )

    def mask(self) -> Tensor:
        """Return the live weights."""
        kernel = (1, 1) if self.depthwise else self.kernel
        pairs = torch.rand(self.outputs // 2 + 1, self.inputs, *kernel) < self.density
        return pairs.repeat_interleave(2, 0)[: self.outputs]


POINTWISE = Case(inputs=40, kernel=(1, 1), padding=0, size=(3, 8, 8))
CASES = [
    POINTWISE,
    Case(inputs=40, kernel=(1, 1), padding=0, size=(1, 3, 5), threads=2),
    Case(activation="relu", threads=3),
    Case(density=0.0),
    Case(stride=(2, 1), dilation=(1, 2), activation="hardswish"),
    Case(size=(2, 4, 16), producer="padded"),
    Case(producer="flat"),
    Case(producer="gathered", kernel=(5, 2)),
    Case(depthwise=True, activation="relu6", size=(1, 9, 9)),
]


def emulated(
    program: str,
    function: str,
    layer: kernel.Layer,
    x: Tensor,
    other: Tensor | None,
    output: Tensor,
    threads: int,
) -> Tensor:
    """Call a function of the library in the emulator, and return its output."""
    images = struct.pack("<4q", x.shape[0], x.shape[2], x.shape[3], threads)
    structure = layer.structure()
    settings = struct.pack(
        "<4i",
        structure.activation,
        structure.depthwise_activation,
        structure.producer,
        structure.super_tile,
    )
    arrays = [layer.plan, layer.weights, layer.bias, layer.depthwise, layer.depthwise_bias]
    contents = [b"" if a is None else a.numpy().tobytes() for a in (*arrays, x, other, output)]
    request = b"".join(struct.pack("<q", len(content)) + content for content in contents)
    name = f"{function}_{kernel.SUFFIXES[x.dtype]}"
    done = subprocess.run(
        [*EMULATOR, program, name],
        input=images + settings + request,
        capture_output=True,
        check=True,
    )
    found = np.frombuffer(bytearray(done.stdout), dtype=output.numpy().dtype)
    return torch.from_numpy(found).reshape(output.shape)


ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_output_is_right(case: Case, dtype: torch.dtype, driver: str) -> None:
    geometry, mask = case.geometry, case.mask()
    plan = make_plan(mask.numpy(), geometry)
    weight = torch.randn(mask.shape, dtype=dtype) * mask
    bias = torch.randn(case.outputs, dtype=dtype)
    x = torch.randn(case.size[0], case.inputs, *case.size[1:], dtype=dtype)
    first = torch.randn(case.inputs, 1, *case.kernel, dtype=dtype) if case.depthwise else None
    settings = (case.stride, case.padding, case.dilation)
    if first is None:
        expected = F.conv2d(x, weight, bias, *settings)
    else:
        between = F.relu(F.conv2d(x, first, None, *settings, groups=case.inputs))
        expected = F.conv2d(between, weight, bias)
    residual = torch.randn(expected.shape, dtype=dtype)
    layer = kernel.Layer(
        plan=plan.table,
        weights=kernel.pack(weight, plan.source),
        bias=bias,
        depthwise=first,
        activation=case.activation,
        depthwise_activation="none" if first is None else "relu",
        producer=case.producer,
    )
    empty = torch.full_like(expected, torch.nan)
    found = emulated(driver, "conv", layer, x, residual, empty, case.threads)
    expected = ACTIVATIONS[case.activation](expected + residual)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", [POINTWISE, Case(threads=2)], ids=["pointwise", "3x3"])
def test_the_gradient_of_the_weights_is_right(case: Case, dtype: torch.dtype, driver: str) -> None:
    mask = case.mask()
    plan = make_plan(mask.numpy(), case.geometry)
    weight = torch.zeros(mask.shape, dtype=dtype, requires_grad=True)
    x = torch.randn(case.size[0], case.inputs, *case.size[1:], dtype=dtype)
    output = F.conv2d(x, weight, None, case.stride, case.padding, case.dilation)
    gradient = torch.randn(output.shape, dtype=dtype)
    (of_weight,) = torch.autograd.grad(output, weight, gradient)
    layer = kernel.Layer(plan=plan.table, weights=torch.zeros(len(plan.source), dtype=dtype))
    empty = torch.zeros(len(plan.source), dtype=dtype)
    found = emulated(driver, "gradient", layer, x, gradient, empty, case.threads)
    live = plan.source >= 0
    expected = of_weight.flatten()[plan.source[live].long()]
    torch.testing.assert_close(found[live], expected, rtol=0, atol=10 * TOLERANCE[dtype])
