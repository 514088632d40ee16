"""Configuration of glibc to keep the memory that a training step frees for the next one."""

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

    By default glibc returns tensors of more than 32 MiB to the kernel at once, so that each
    training step has page faults for all of its memory.

    Returns:
        Whether this succeeded; there is no effect on systems other than Linux with glibc.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    mapped: int = libc.mallopt(MMAP_THRESHOLD, LARGEST_MAPPED)
    kept: int = libc.mallopt(TRIM_THRESHOLD, LARGEST_KEPT)
    return bool(mapped and kept)
