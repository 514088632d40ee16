"""The library for AArch64: cross-compiled, and run in an emulator."""

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.compiling import SOURCES, Compiler, compile_library, find_compiler, version
from dsx.conv.native.interface import SUFFIXES
from dsx.conv.native.kernel import Layer
from dsx.conv.native.plan import make_plan
from tests.conv.native.cases import Case, assert_same, dense_gradient, gradient_of
from tests.conv.native.test_kernel import DTYPES, cases

DRIVER = Path(__file__).parent / "driver.cpp"
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
FUNCTIONS = ("conv_f32", "conv_f64", "gradient_f32", "gradient_f64")
"""Functions in the order of driver.cpp."""

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
        "version": version(),
        "instruction sets": "baseline",
        "in use": "baseline",
        "use of avx2": "-1",
        "use of baseline": "0",
        "threads": "1",
    }


@dataclass(frozen=True, kw_only=True)
class Call:
    """Arguments of `kernel.run` with a number of threads, and the output to expect."""

    function: str
    layer: Layer
    x: Tensor
    other: Tensor | None
    output: Tensor
    threads: int
    expected: Tensor

    def request(self) -> bytes:
        """Return the call as driver.cpp reads it."""
        structure = self.layer.structure()
        pointers = [field[0] for field in structure._fields_ if field[1] is ctypes.c_void_p]
        arrays: list[Tensor | None] = [getattr(self.layer, name) for name in pointers]
        arrays += [self.x, self.other, self.output]
        contents = [b"" if array is None else array.numpy().tobytes() for array in arrays]
        sized = (
            struct.pack("<q", len(content)) + content for content in (bytes(structure), *contents)
        )
        number = FUNCTIONS.index(f"{self.function}_{SUFFIXES[self.x.dtype]}")
        size = (self.x.shape[0], *self.x.shape[2:])
        return struct.pack("<6i", number, *size, self.threads, len(pointers)) + b"".join(sized)


def forward(case: Case, expected: Tensor, number: int) -> Call:
    """Return a convolution; the number of the case selects a producer and so on."""
    producer = kernel.PRODUCERS[number % len(kernel.PRODUCERS)]
    return Call(
        function="conv",
        layer=case.layer(producer, super_tile=(0, 1, 3, 8)[number % 4]),
        x=case.x,
        other=case.residual,
        output=torch.full_like(expected, torch.nan),
        threads=1 + number % 2,
        expected=expected,
    )


def of_weights(case: Case, number: int) -> tuple[Call, Tensor]:
    """Return the gradient of the packed weights, and which of them are not padding."""
    plan = make_plan(case.live, case.geometry)
    gradient = gradient_of(case)
    packed = torch.zeros(len(plan.source), dtype=case.x.dtype)
    call = Call(
        function="gradient",
        layer=Layer(plan=plan.table, weights=packed),
        x=case.x,
        other=gradient,
        output=packed,
        threads=1 + number % 2,
        expected=kernel.pack(dense_gradient(case, gradient), plan.source),
    )
    return call, plan.source >= 0


def emulated(program: str, calls: Sequence[Call]) -> Iterator[Tensor]:
    """Run calls in the emulator, and yield their outputs."""
    sent = b"".join(call.request() for call in calls)
    command = [*EMULATOR, program, "calls"]
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True)
    received = bytearray(done.stdout)
    for call in calls:
        size = call.output.nbytes
        found = torch.frombuffer(received[:size], dtype=call.output.dtype) if size else call.output
        yield found.reshape(call.output.shape)
        del received[:size]


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs(dtype: torch.dtype, driver: str) -> None:
    calls = [forward(*case, number) for number, case in enumerate(cases(dtype))]
    for number, (call, found) in enumerate(zip(calls, emulated(driver, calls), strict=True)):
        assert_same(found, call.expected, f"case {number}, {call.layer.producer}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_weights(dtype: torch.dtype, driver: str) -> None:
    chosen = [case for case, _ in cases(dtype) if case.has_gradient]
    calls, live = zip(*(of_weights(case, n) for n, case in enumerate(chosen)), strict=True)
    outputs = emulated(driver, calls)
    for number, (call, used, found) in enumerate(zip(calls, live, outputs, strict=True)):
        assert_same(found[used], call.expected[used], f"case {number}")
