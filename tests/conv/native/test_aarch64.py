"""The library for AArch64: cross-compiled, and run in an emulator."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dsx.conv.native.compiling import Compiler, compile_library, find_compiler
from dsx.conv.native.library import ABI_VERSION

DRIVER = Path(__file__).parent / "driver.cpp"
EMULATOR = "qemu-aarch64"
LIBRARIES = "/usr/aarch64-linux-gnu"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cross_compiler() -> Compiler:
    found = find_compiler("aarch64-linux-gnu-g++")
    if found is None or shutil.which(EMULATOR) is None:
        pytest.skip("needs the Debian packages g++-aarch64-linux-gnu and qemu-user")
    return found


@pytest.fixture(scope="module")
def driver(cross_compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Program for AArch64 that calls the library."""
    folder = tmp_path_factory.mktemp("aarch64")
    compile_library(folder / "libdsx.so", cross_compiler, ["-Werror"])
    program = folder / "driver"
    command = [*cross_compiler.command, "-std=c++17", str(DRIVER), "-o", str(program)]
    link = [str(folder / "libdsx.so"), "-Wl,-rpath,$ORIGIN", *cross_compiler.openmp]
    subprocess.run([*command, *link], check=True)
    return program


def run(program: Path) -> dict[str, str]:
    """Run a program in the emulator, and return the values that it prints."""
    command = [EMULATOR, "-L", LIBRARIES, str(program)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split(": ", 1) for line in shown.splitlines())


def test_the_baseline_is_used(driver: Path) -> None:
    assert run(driver) == {
        "interface": str(ABI_VERSION),
        "instruction sets": "baseline",
        "in use": "baseline",
        "use of avx2": "-1",
        "use of baseline": "0",
        "threads": "1",
    }
