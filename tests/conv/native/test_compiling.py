"""Compilation of the kernels: what is built in and refused, and the messages of the compiler."""

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsx.conv.native.compiling import (
    FLAGS,
    INSTRUCTION_SETS,
    SOURCES,
    CompilationFailed,
    Compiler,
    compile_library,
    find_compiler,
)

QUICK = ["-O0"]
"""For libraries whose speed does not matter."""


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def built_in(path: Path) -> list[str]:
    """Return the instruction sets of a library that this processor supports."""
    library = ctypes.CDLL(str(path))
    library.dsx_instruction_sets.restype = ctypes.c_char_p
    return str(library.dsx_instruction_sets().decode()).split()


@pytest.mark.slow
def test_the_chosen_instruction_sets_are_built_in(compiler: Compiler, tmp_path: Path) -> None:
    compile_library(tmp_path / "all.so", compiler, QUICK)
    supported = built_in(tmp_path / "all.so")
    assert supported[-1] == "baseline"
    assert set(supported) <= {*INSTRUCTION_SETS, "baseline"}
    for name in compiler.instruction_sets:
        compile_library(tmp_path / f"{name}.so", compiler, QUICK, instruction_sets=[name])
        found = built_in(tmp_path / f"{name}.so")
        assert found == [each for each in supported if each in (name, "baseline")]
    compile_library(tmp_path / "none.so", compiler, QUICK, instruction_sets=[])
    assert built_in(tmp_path / "none.so") == ["baseline"]


def test_an_unknown_instruction_set_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\['avx1024'\] \(allowed: \['avx512', 'avx2'\]\)"):
        compile_library(tmp_path / "x.so", compiler, instruction_sets=["avx2", "avx1024"])


@pytest.mark.slow
def test_the_compiler_has_no_objections(
    compiler: Compiler, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Warnings about the flow of data need some optimization.
    compile_library(tmp_path / "x.so", compiler, ["-O1"])
    assert capfd.readouterr() == ("", "")


def test_warnings_are_shown(
    compiler: Compiler, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header = tmp_path / "noisy.h"
    header.write_text('#warning "seen"\n')
    compile_library(tmp_path / "x.so", compiler, [*QUICK, "-include", str(header)], [])
    assert "seen" in capfd.readouterr().err


def test_errors_of_the_compiler_are_raised_and_the_old_library_stays(
    compiler: Compiler, tmp_path: Path
) -> None:
    header, library = tmp_path / "broken.h", tmp_path / "x.so"
    header.write_text('#error "no way"\n')
    library.write_text("old")
    with pytest.raises(CompilationFailed, match=r"(?s)baseline\.cpp .*no way"):
        compile_library(library, compiler, [*QUICK, "-include", str(header)], [])
    with pytest.raises(CompilationFailed, match="ldsx_unknown"):
        compile_library(library, compiler, [*QUICK, "-ldsx_unknown"], [])
    assert library.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [header, library]


def test_a_library_in_use_is_replaced_and_not_overwritten(
    compiler: Compiler, tmp_path: Path
) -> None:
    library = tmp_path / "x.so"
    compile_library(library, compiler, QUICK, [])
    with library.open("rb") as used:
        content = used.read()
        compile_library(library, compiler, [*QUICK, "-g"], [])
        used.seek(0)
        assert used.read() == content != library.read_bytes()


def test_nothing_is_found_on_an_empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler() is None


@pytest.mark.parametrize("chosen", ["", " "])
def test_the_first_candidate_that_runs_is_found(
    compiler: Compiler, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on macOS without the command line tools.
    program(tmp_path / "c++", "echo install the tools >&2; exit 1")
    works = program(tmp_path / "g++", f'exec {shutil.which(compiler.command[0])} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CXX", chosen)
    found = find_compiler()
    assert found is not None
    assert (found.command, shutil.which("g++")) == (("g++",), str(works))


def test_the_compiler_can_be_chosen(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{compiler.command[0]} -DCHOSEN=1")
    found = find_compiler()
    assert found is not None and "CHOSEN" in found.macros
    assert find_compiler("missing") is None
    monkeypatch.setenv("CXX", "missing")
    assert find_compiler() is None
    assert find_compiler(compiler.command[0]) == compiler


@pytest.mark.parametrize(
    ("macros", "optimization", "openmp", "instruction_sets"),
    [
        ("__linux__ __x86_64__", "-O2", ["-fopenmp"], ["avx512", "avx2"]),
        ("__linux__ __aarch64__", "-O2", ["-fopenmp"], []),
        # libomp of LLVM would be a second pool of threads in addition to that of torch.
        ("__linux__ __x86_64__ __clang__", "-O3", [], ["avx512", "avx2"]),
        ("__APPLE__ __aarch64__ __clang__", "-O3", [], []),
    ],
)
def test_flags_depend_on_compiler_and_target(
    macros: str, optimization: str, openmp: list[str], instruction_sets: list[str]
) -> None:
    compiler = Compiler(("c++",), frozenset(macros.split()))
    assert compiler.optimization[0] == optimization
    assert (compiler.openmp, compiler.instruction_sets) == (openmp, instruction_sets)


@pytest.mark.slow
def test_files_of_instruction_sets_export_only_their_own_names(
    compiler: Compiler, tmp_path: Path
) -> None:
    # The linker keeps one copy of a template or inline function of several files: it could be one
    # with instructions that the processor does not have.
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    defined = ['-DDSX_VERSION="0"']
    defined += [f"-DDSX_{each.upper()}" for each in compiler.instruction_sets]
    for name in (*compiler.instruction_sets, "baseline"):
        flags = [*FLAGS, *compiler.openmp, *INSTRUCTION_SETS.get(name, []), *defined]
        # Without optimization, no call is inlined, and every such function remains.
        file = str(tmp_path / "x.o")
        command = [*compiler.command, *flags, *QUICK, "-c", str(SOURCES / f"{name}.cpp")]
        subprocess.run([*command, "-o", file], check=True)
        query = ["nm", "--extern-only", "--defined-only", "--demangle", file]
        shown = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        exported = [line.split(maxsplit=2)[-1] for line in shown.splitlines()]
        assert exported == [f"dsx::{name}::kernels"]


def test_the_folder_compiles_without_dsx_and_without_other_packages(
    compiler: Compiler, tmp_path: Path
) -> None:
    shutil.copytree(SOURCES, tmp_path / "source")
    command = [sys.executable, "-I", "-S", shutil.copy(SOURCES.parent / "compiling.py", tmp_path)]
    quick = program(tmp_path / "quick", f'exec {shlex.join(compiler.command)} "$@" -O0')
    subprocess.run(command, env={**os.environ, "CXX": str(quick)}, check=True)
    assert built_in(tmp_path / "libdsx.so")[-1] == "baseline"
    nothing = {**os.environ, "CXX": "missing"}
    done = subprocess.run(command, env=nothing, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "no C++ compiler\n")
