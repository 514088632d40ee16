"""The memory allocator of a process that runs a command of dsx."""

import ctypes
import functools
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt of glibc, from malloc.h."""
LARGEST_MAPPED = 1 << 30
LARGEST_KEPT = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for later allocations, for the rest of this process.

    By default glibc returns tensors of more than 32 MiB to the kernel immediately, so that each
    training step allocates its memory again, page by page. The setting cannot be read and
    therefore not be restored. Only processes that belong to dsx may make it: those of the command
    line, and the contenders of a benchmark.

    Returns:
        Whether the setting was made; it exists only on Linux with glibc.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    mapped: int = libc.mallopt(MMAP_THRESHOLD, LARGEST_MAPPED)
    kept: int = libc.mallopt(TRIM_THRESHOLD, LARGEST_KEPT)
    return bool(mapped and kept)
