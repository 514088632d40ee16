"""Compilation of the C++ kernels into one shared library.

This file uses only the standard library, because the build of the wheel and exported networks load
it by its path, without dsx and torch. Run as a program, it compiles the library of a checkout.
"""

import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "source"
LIBRARY = Path(__file__).parent / "libdsx.so"
"""Path of the library that belongs to this installation."""

INSTRUCTION_SETS = {
    "avx512": [
        *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
        "-mprefer-vector-width=512",
    ],
    "avx2": ["-mavx2", "-mfma"],
}
"""Instruction sets of x86-64 beyond its baseline, each with the flags for its source file."""

FLAGS = ["-std=c++17", "-fPIC", "-ffp-contract=fast", "-fvisibility=hidden", "-Wall", "-Wextra"]
CANDIDATES = ("c++", "g++", "clang++")


class CompilationFailed(Exception):
    """A compilation that failed, with the messages of the compiler."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler that runs on this machine.

    Args:
        command: Program and its first arguments.
        macros: Names of the macros that the compiler defines for its target.
    """

    command: tuple[str, ...]
    macros: frozenset[str]

    @property
    def optimization(self) -> list[str]:
        """Flags for fast kernels."""
        # With GCC, -O3 gives kernels of the same speed and takes almost twice as long.
        is_gcc = "__clang__" not in self.macros
        return ["-O2", "-fvect-cost-model=dynamic"] if is_gcc else ["-O3"]

    @property
    def openmp(self) -> list[str]:
        """Flags for threads; empty where the compiler would not use the libgomp of torch."""
        has_libgomp = "__linux__" in self.macros and "__clang__" not in self.macros
        return ["-fopenmp"] if has_libgomp else []

    @property
    def instruction_sets(self) -> list[str]:
        """Instruction sets of the target that have a source file of their own."""
        return list(INSTRUCTION_SETS) if "__x86_64__" in self.macros else []


def sources() -> list[Path]:
    """Return the C++ sources and headers of the kernels."""
    return sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h")])


@functools.cache
def version() -> str:
    """Return the version of the kernels.

    Returns:
        Eight hexadecimal digits: a hash of the sources and of this file, which has the flags of
        the compiler.
    """
    content = hashlib.sha256()
    for source in [Path(__file__), *sources()]:
        content.update(source.name.encode())
        content.update(source.read_bytes())
    return content.hexdigest()[:8]


def find_compiler(command: str | None = None) -> Compiler | None:
    """Find a C++ compiler.

    Args:
        command: Command of the compiler; by default that of the environment variable CXX or, if
            it is not set, the first of c++, g++ and clang++ that runs.

    Returns:
        The compiler; None if none runs.
    """
    given = command or os.environ.get("CXX", "").strip()
    for candidate in [given] if given else CANDIDATES:
        words = tuple(shlex.split(candidate))
        if shutil.which(words[0]) is None:
            continue
        # On macOS without the command line tools, c++ exists, and only prints a message.
        query = [*words, "-dM", "-E", "-x", "c++", os.devnull]
        answer = subprocess.run(query, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            macros = (line.split()[1] for line in answer.stdout.splitlines())
            return Compiler(words, frozenset(macros))
    return None


def compile_library(
    path: Path,
    compiler: Compiler,
    flags: Sequence[str] = (),
    instruction_sets: Iterable[str] | None = None,
) -> None:
    """Compile the kernels into a shared library; takes about 13 seconds on two cores.

    An existing library is replaced at once at the end, so that processes that use it continue.
    Warnings of the compiler are written to stderr.

    Args:
        path: Path of the library.
        compiler: The compiler.
        flags: Additional flags for compiling and linking.
        instruction_sets: Instruction sets to build in, in addition to the baseline of the target;
            by default all of `Compiler.instruction_sets`.

    Raises:
        CompilationFailed: If the compiler fails.
        ValueError: If there is no instruction set of a given name.
    """
    chosen = compiler.instruction_sets if instruction_sets is None else list(instruction_sets)
    if others := set(chosen) - INSTRUCTION_SETS.keys():
        raise ValueError(f"instruction sets {sorted(others)} (allowed: {list(INSTRUCTION_SETS)})")
    common = [*compiler.command, *FLAGS, *compiler.optimization, *compiler.openmp, *flags]
    defined = [f'-DDSX_VERSION="{version()}"', *(f"-DDSX_{name.upper()}" for name in chosen)]
    left_out = INSTRUCTION_SETS.keys() - set(chosen)
    # The library is linked in a folder next to it, from which it can be moved into its place.
    with (
        tempfile.TemporaryDirectory(prefix="dsx-") as folder,
        tempfile.TemporaryDirectory(prefix=".dsx-", dir=path.parent) as neighbour,
    ):
        objects, commands = [], []
        for source in sorted(SOURCES.glob("*.cpp")):
            if source.stem in left_out:
                continue
            objects.append(f"{folder}/{source.stem}.o")
            own = INSTRUCTION_SETS.get(source.stem, [])
            commands.append([*common, *own, *defined, "-c", str(source), "-o", objects[-1]])
        _run(commands)
        new = Path(neighbour) / path.name
        _run([[*common, "-shared", *objects, "-o", str(new)]])
        new.replace(path)


def _run(commands: Sequence[Sequence[str]]) -> None:
    """Run commands of the compiler in parallel, and raise an error if one fails."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    messages = [process.communicate()[0] for process in running]
    failed = [
        f"{shlex.join(command)}\n{message}"
        for command, process, message in zip(commands, running, messages, strict=True)
        if process.returncode != 0
    ]
    if failed:
        raise CompilationFailed("\n".join(failed))
    sys.stderr.write("".join(messages))


def main() -> None:
    """Compile the library of this checkout again."""
    compiler = find_compiler()
    if compiler is None:
        sys.exit("no C++ compiler")
    compile_library(LIBRARY, compiler)


if __name__ == "__main__":
    main()
