"""Allocations: the most bytes that torch's allocators have handed out at once during a call."""

import itertools

import torch

from dsx.conv import Run
from dsx.torch_private import allocation_sizes


def peak_bytes(run: Run, device: str) -> int:
    """Run once, and say how much memory that took at its highest.

    Args:
        run: Deterministic; called twice, since a first call may make what stays.
        device: "cpu" or "cuda".

    Returns:
        Bytes above what was handed out before, what is let go of before the end included.
    """
    with torch.inference_mode():
        run()
        return _peak_cuda(run) if device == "cuda" else _peak_cpu(run)


def _peak_cpu(run: Run) -> int:
    return max(itertools.accumulate(allocation_sizes(run)), default=0)


def _peak_cuda(run: Run) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
