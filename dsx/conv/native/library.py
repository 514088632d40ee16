"""The compiled library of this process, and the instruction set that it uses.

The environment variable DSX_KERNELS names another library to load; the tests of the kernels use it.
"""

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path

# The library needs libgomp.so.1. Once torch is imported, the one that torch brings is found first,
# and both use the same threads.
import torch  # noqa: F401

from dsx.conv.native.compiling import LIBRARY, version
from dsx.conv.native.interface import declare
from dsx.errors import DsxError, Unsupported, unknown

VARIABLE = "DSX_KERNELS"


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The compiled kernels of this process.

    Args:
        path: Path of the library.
        instruction_sets: Names of the instruction sets that are built in and that this processor
            supports, best first.
        instruction_set: Name of the one in use.
        has_threads: Whether the kernels can use several threads.
        version: Hash of the sources and of the flags of the compiler.
        compiler: Name and version of the compiler.
    """

    path: str
    instruction_sets: tuple[str, ...]
    instruction_set: str
    has_threads: bool
    version: str
    compiler: str

    @property
    def identity(self) -> str:
        """Everything on which the speed of the kernels depends."""
        threads = "" if self.has_threads else ", one thread"
        return f"{self.version} {self.instruction_set}, {self.compiler}{threads}"


def kernels() -> Kernels | Unsupported:
    """Describe the compiled kernels, after loading them on first use.

    Returns:
        The kernels, or the reason why there are none.
    """
    library = load()
    if isinstance(library, Unsupported):
        return library
    return Kernels(
        path=str(library_path()),
        instruction_sets=_instruction_sets(library),
        instruction_set=library.dsx_instruction_set().decode(),
        has_threads=bool(library.dsx_has_threads()),
        version=version(),
        compiler=library.dsx_compiler().decode(),
    )


def use(instruction_set: str) -> None:
    """Use another instruction set for all further calls in this process.

    Args:
        instruction_set: One of `Kernels.instruction_sets`.

    Raises:
        DsxError: If there are no kernels, or none of this name.
    """
    library = load()
    if isinstance(library, Unsupported):
        raise DsxError(f"there are no compiled kernels: {library.reason}")
    if library.dsx_use(instruction_set.encode()) != 0:
        raise DsxError(unknown("instruction set", instruction_set, _instruction_sets(library)))


def release_buffers() -> None:
    """Free what the kernels keep for the calling thread; its next call allocates it again."""
    library = load()
    if not isinstance(library, Unsupported):
        library.dsx_release_buffers()


def buffer_bytes() -> int:
    """Return the number of bytes that the kernels keep for the calling thread between calls."""
    library = load()
    return 0 if isinstance(library, Unsupported) else int(library.dsx_buffer_bytes())


def library_path() -> Path:
    """Return the path of the library of this process, which need not exist."""
    return Path(os.environ.get(VARIABLE) or LIBRARY)


@functools.cache
def load() -> ctypes.CDLL | Unsupported:
    """Load the library once.

    Returns:
        The library, or the reason why it cannot be used.
    """
    path = library_path()
    if not path.is_file():
        return _missing(path)
    try:
        library = ctypes.CDLL(str(path))
        library.dsx_version.restype = ctypes.c_char_p
    except (OSError, AttributeError) as error:
        return Unsupported(f"the library cannot be loaded: {error}")
    compiled = library.dsx_version().decode()
    if compiled != version():
        return Unsupported(
            f"'{path}' was compiled from other sources (version {compiled} instead of "
            f"{version()}); install dsx again"
        )
    declare(library)
    return library


def _missing(path: Path) -> Unsupported:
    if path != LIBRARY:
        return Unsupported(f"{VARIABLE}: no file '{path}'")
    return Unsupported(
        "dsx was installed without them (no C++ compiler, or DSX_NATIVE=0); install a compiler, "
        "then dsx again"
    )


def _instruction_sets(library: ctypes.CDLL) -> tuple[str, ...]:
    return tuple(library.dsx_instruction_sets().decode().split())
