"""Allocations: the most bytes that torch's allocators have handed out at once during a call."""

import itertools

import torch
from torch._C._autograd import _disable_profiler_legacy as stop_recording
from torch._C._autograd import _enable_profiler_legacy as start_recording
from torch._C._profiler import ProfilerConfig, ProfilerState, _ExperimentalConfig

from dsx.conv import Run


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
    """Add up the allocations and releases that the CPU's allocator reports, in their order.

    They include what an operator needs inside itself, such as unfolded images. A dispatch mode
    would see the outputs of operators only. torch.profiler reports the same events, but takes a
    second for its first start, and writes to stderr.
    """
    start_recording(_RECORD_MEMORY)
    try:
        run()
    finally:
        threads = stop_recording()
    # Of what is no allocation the usage is 0.
    changes = [event.cpu_memory_usage() for events in threads for event in events]
    return max(itertools.accumulate(changes), default=0)


_RECORD_MEMORY = ProfilerConfig(
    ProfilerState.CPU, False, True, False, False, False, _ExperimentalConfig()
)


def _peak_cuda(run: Run) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
