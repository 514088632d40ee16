"""Loading of the compiled library, and the choice of the instruction set."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsx.conv.native import Kernels, kernels, use
from dsx.conv.native.compiling import LIBRARY, SOURCES, Compiler, compile_library, version
from dsx.conv.native.library import VARIABLE, load
from dsx.errors import DsxError, Unsupported

AGAIN = f"compile it again: python {LIBRARY.parent / 'compiling.py'}"


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Path of another library for this process, which does not exist yet."""
    path = tmp_path / "other.so"
    monkeypatch.setenv(VARIABLE, str(path))
    load.cache_clear()
    yield path
    load.cache_clear()


@pytest.fixture
def found(compiler: Compiler) -> Iterator[Kernels]:
    """The kernels of this process, with the instruction set in use restored at the end."""
    described = kernels()
    assert isinstance(described, Kernels), described
    yield described
    use(described.instruction_set)


def link(path: Path, compiler: Compiler, text: str) -> None:
    source = path.with_suffix(".cpp")
    source.write_text(text)
    subprocess.run([*compiler.command, "-shared", "-fPIC", source, "-o", path], check=True)


def test_the_library_of_this_checkout_is_current(compiler: Compiler) -> None:
    assert LIBRARY.is_file(), AGAIN
    newest = max(file.stat().st_mtime for file in SOURCES.iterdir())
    assert LIBRARY.stat().st_mtime >= newest, AGAIN


def test_the_best_instruction_set_is_used(found: Kernels, compiler: Compiler) -> None:
    assert found.path == os.environ.get(VARIABLE, str(LIBRARY))
    assert found.instruction_sets[-1] == "baseline"
    assert found.instruction_set == found.instruction_sets[0]
    assert found.has_threads == bool(compiler.openmp)


def test_every_instruction_set_can_be_used(found: Kernels) -> None:
    for name in found.instruction_sets:
        use(name)
        now = kernels()
        assert isinstance(now, Kernels)
        assert now.instruction_set == name


def test_an_unknown_instruction_set_is_refused(found: Kernels) -> None:
    said = r"^no instruction set called 'baselin' \(allowed: .*Did you mean 'baseline'\?$"
    with pytest.raises(DsxError, match=said):
        use("baselin")
    assert kernels() == found


@pytest.mark.slow
def test_the_variable_names_another_library(other: Path, compiler: Compiler) -> None:
    compile_library(other, compiler, flags=["-O0"], instruction_sets=[])
    assert kernels() == Kernels(
        path=str(other),
        instruction_sets=("baseline",),
        instruction_set="baseline",
        has_threads=bool(compiler.openmp),
        version=version(),
        compiler="GCC " * ("__clang__" not in compiler.macros) + macro(compiler, "__VERSION__"),
    )


def macro(compiler: Compiler, name: str) -> str:
    """Return the value of a macro whose value is a string."""
    query = [*compiler.command, "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    start = f"#define {name} "
    lines = done.stdout.splitlines()
    return next(line for line in lines if line.startswith(start)).removeprefix(start).strip('"')


def test_a_missing_library_is_stated(other: Path) -> None:
    missing = Unsupported(f"{VARIABLE}: no file '{other}'")
    assert kernels() == missing
    with pytest.raises(DsxError, match=f"^there are no compiled kernels: {VARIABLE}: no file"):
        use("baseline")


def test_a_library_for_another_version_is_stated(other: Path, compiler: Compiler) -> None:
    link(other, compiler, 'extern "C" const char* dsx_version() { return "0"; }')
    versions = f"version 0 instead of {version()}"
    said = f"'{other}' was compiled from other sources ({versions}); install dsx again"
    assert kernels() == Unsupported(said)


def test_a_file_that_is_not_the_library_is_stated(other: Path, compiler: Compiler) -> None:
    other.write_text("nothing")
    not_a_library = kernels()
    assert isinstance(not_a_library, Unsupported)
    assert not_a_library.reason.startswith(f"the library cannot be loaded: {other}: ")
    load.cache_clear()
    # A new name: the dynamic linker caches libraries by inode.
    other.unlink()
    link(other, compiler, "int nothing;")
    not_of_dsx = kernels()
    assert isinstance(not_of_dsx, Unsupported)
    assert "dsx_version" in not_of_dsx.reason


MAPPED = """
from pathlib import Path
from dsx.conv.native import Kernels, kernels
assert isinstance(kernels(), Kernels), kernels()
mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
print(*sorted(path for path in mapped if "libgomp" in path), sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc/self/maps")
def test_torch_and_the_kernels_share_one_libgomp(compiler: Compiler, tmp_path: Path) -> None:
    if not compiler.openmp:
        pytest.skip("needs a compiler with the libgomp of GCC")
    # The library needs libgomp even if the compiler finds that no function of it is called.
    path = tmp_path / "x.so"
    compile_library(path, compiler, flags=["-O0", "-Wl,--no-as-needed"])
    environment = {**os.environ, VARIABLE: str(path)}
    command = [sys.executable, "-c", MAPPED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (mapped,) = done.stdout.splitlines()
    assert "torch" in mapped
