"""Reuse of freed memory by glibc."""

import subprocess
import sys

import pytest

from dsx.allocator import keep_freed_memory

FAULTS = """
import resource, sys, torch
from dsx.allocator import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory() and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(3):  # until the heap has its final size
    faults()
print(faults())
"""


def faults(mode: str) -> int:
    """Count the page faults of four allocations of 64 MiB after a warm-up."""
    result = subprocess.run(
        [sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True
    )
    return int(result.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="requires Linux with glibc")
def test_freed_memory_is_reused() -> None:
    # 64 MiB are 16,384 pages of 4 KiB or 32 huge pages, of which only few are faulted in again.
    assert faults("kept") * 1.5 < faults("default")


@pytest.mark.parametrize(("system", "libc"), [("Darwin", ""), ("Linux", "musl")])
def test_other_systems_are_not_configured(
    system: str, libc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    assert keep_freed_memory.__wrapped__() is False
