"""The tests of this folder with a library that AddressSanitizer and UBSan instrument.

Vector loads and stores with masks are not instrumented.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsx.conv.native.compiling import Compiler, compile_library
from dsx.conv.native.library import VARIABLE, Kernels, kernels

FOLDER = Path(__file__).parent
# With optimization, the instrumented kernels take minutes to compile.
FLAGS = ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
OTHERS = ["gpu", "test_aarch64.py", "test_compiling.py", "test_plan.py", "test_sanitizers.py"]
"""Files and folders that load no library or only a library of their own."""

FAULTS = {
    "heap-buffer-overflow": "int* x = new int[at]; int y = x[at]; delete[] x; return y;",
    "signed integer overflow": "return 2147483644 + at;",
}


@pytest.fixture
def environment(compiler: Compiler) -> dict[str, str]:
    """Environment of a process that can load an instrumented library."""
    # A process with an instrumented library is started by this file; it must not run it again.
    assert "LD_PRELOAD" not in os.environ
    names = ["libasan.so", "libubsan.so", "libstdc++.so"]
    paths = [printed(compiler, f"-print-file-name={name}") for name in names]
    if not all(map(os.path.isabs, paths)):
        pytest.skip("needs the sanitizers of GCC")
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(paths),
        # Python keeps memory until the end of the process.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def printed(compiler: Compiler, query: str) -> str:
    command = [*compiler.command, query]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def call(library: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import ctypes; print(ctypes.CDLL('{library}').fault(4))"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(
    fault: str, compiler: Compiler, environment: dict[str, str], tmp_path: Path
) -> None:
    source, library = tmp_path / "x.cpp", tmp_path / "x.so"
    source.write_text(f'extern "C" int fault(int at) {{ {FAULTS[fault]} }}')
    command = [*compiler.command, "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run([*command, *FLAGS], check=True)
    found = call(library, environment)
    assert found.returncode != 0 and fault in found.stderr
    # Without them the process continues.
    subprocess.run(command, check=True)
    assert call(library, environment).returncode == 0


@pytest.mark.slow
def test_the_kernels_have_no_faults(
    compiler: Compiler, environment: dict[str, str], tmp_path: Path
) -> None:
    library = tmp_path / "libdsx.so"
    loaded = kernels()
    assert isinstance(loaded, Kernels)
    # AVX2 differs from the baseline only in the size of vectors.
    chosen = {"avx512"} & {*loaded.instruction_sets}
    compile_library(library, compiler, FLAGS, chosen)
    # Small shapes: the tests marked `slow` are left out.
    words = ["-q", "-p", "no:cacheprovider", "-m", "not slow and not long", str(FOLDER)]
    ignored = [f"--ignore={FOLDER / name}" for name in OTHERS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *ignored],
        env={**environment, VARIABLE: str(library)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
