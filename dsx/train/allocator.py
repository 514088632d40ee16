"""The memory that training frees: kept for the next step, where that can be arranged."""

import ctypes
import functools
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt, from malloc.h."""
LARGEST_MAPPED = 1 << 30
LARGEST_KEPT = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next allocation, for the rest of this process.

    By default it returns tensors of more than 32 MiB to the kernel at once, and each training step
    gets its memory anew, page by page.

    Returns:
        Whether that was arranged; elsewhere than on Linux with glibc nothing is done.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    mapped: int = libc.mallopt(MMAP_THRESHOLD, LARGEST_MAPPED)
    kept: int = libc.mallopt(TRIM_THRESHOLD, LARGEST_KEPT)
    return bool(mapped and kept)
