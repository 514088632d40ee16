"""The library for AArch64: cross-compiled, and run in an emulator."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.compiling import SOURCES, Compiler, compile_library, find_compiler
from dsx.conv.native.library import ABI_VERSION
from tests.conv.native.cases import PROBLEMS, Case, Problem

DRIVER = Path(__file__).parent / "driver.cpp"
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
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


def emulated(program: str, problem: Problem) -> Tensor:
    """Solve a problem in the emulator, and return the output."""
    x, layer, output = problem.x, problem.layer, problem.output
    images = struct.pack("<4q", x.shape[0], x.shape[2], x.shape[3], problem.threads)
    structure = layer.structure()
    settings = struct.pack(
        "<4i",
        structure.activation,
        structure.depthwise_activation,
        structure.producer,
        structure.super_tile,
    )
    arrays = [layer.plan, layer.weights, layer.bias, layer.depthwise, layer.depthwise_bias]
    arrays += [x, problem.other, output]
    contents = [b"" if array is None else array.numpy().tobytes() for array in arrays]
    request = b"".join(struct.pack("<q", len(content)) + content for content in contents)
    command = [*EMULATOR, program, f"{problem.function}_{kernel.SUFFIXES[x.dtype]}"]
    sent = images + settings + request
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True)
    found = np.frombuffer(bytearray(done.stdout), dtype=output.numpy().dtype)
    return torch.from_numpy(found).reshape(output.shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("make, case", PROBLEMS, ids=range(len(PROBLEMS)))
def test_the_output_is_right(
    make: Callable[[Case, torch.dtype], Problem], case: Case, dtype: torch.dtype, driver: str
) -> None:
    problem = make(case, dtype)
    problem.check(emulated(driver, problem))
