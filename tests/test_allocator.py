"""The allocator: freed memory is there for the next tensor, where that can be arranged."""

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
for _ in range(3):  # until the heap is as large as it gets
    faults()
print(faults())
"""


def faults(mode: str) -> int:
    """Count page faults of allocating 64 MiB four times, after the first times."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="needs Linux with glibc")
def test_memory_is_used_again() -> None:
    # 64 MiB are 16,384 pages of 4 KiB, or 32 huge ones: few of them anew, not all four times.
    assert faults("kept") * 1.5 < faults("as it is")


@pytest.mark.parametrize(("system", "libc"), [("Darwin", ""), ("Linux", "musl")])
def test_elsewhere_nothing_is_done(system: str, libc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    assert keep_freed_memory.__wrapped__() is False
