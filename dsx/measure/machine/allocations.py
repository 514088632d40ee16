"""Peak memory that torch allocates during a call."""

import itertools

import torch

from dsx.conv import Run
from dsx.torch_private import allocation_sizes


def peak_bytes(run: Run, device: str) -> int:
    """Measure the peak memory of a call.

    Args:
        run: Deterministic function; it is called twice, because the first call may allocate memory
            that is kept.
        device: "cpu" or "cuda".

    Returns:
        Maximum number of bytes that were allocated at once, relative to before the call.
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
