"""Peak memory that torch allocates during a call."""

import itertools

import torch
from torch._C._autograd import _disable_profiler_legacy as stop_recording
from torch._C._autograd import _enable_profiler_legacy as start_recording
from torch._C._profiler import ProfilerConfig, ProfilerState, _ExperimentalConfig

from dsx.conv import Run


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
    """Accumulate the allocations and releases that the CPU allocator reports.

    They include workspaces inside operators, such as unfolded images, whereas a dispatch mode
    would only see the outputs of operators. torch.profiler reports the same events, but its first
    start takes a second and writes to stderr.
    """
    start_recording(_RECORD_MEMORY)
    try:
        run()
    finally:
        threads = stop_recording()
    # The usage of an event that is not an allocation is 0.
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
