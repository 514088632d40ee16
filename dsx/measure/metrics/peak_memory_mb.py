"""Peak memory: megabytes (10^6 bytes) of one deployed forward pass, excluding the weights.

The value is the maximum of the memory allocated by torch (input, activations, output and workspaces
of operators) plus the buffers of the compiled kernels. Memory that other libraries allocate is not
included.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import torch

from dsx.analysis import Measurement, PeakMemory, Provenance, exact
from dsx.conv import Run
from dsx.conv.native import buffer_bytes, release_buffers
from dsx.errors import Unsupported
from dsx.measure.backends import prepare
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.process import torch_threads
from dsx.space import SearchSpace
from dsx.torch_private import allocation_sizes

BACKENDS = ("compile", "eager")
"""Backends that allocate memory through torch."""
PROTOCOL = {"version": 1, "bytes_in_mb": 1_000_000}


def read(candidate: Candidate) -> Measurement:
    """Measure the peak memory of a forward pass of a candidate.

    Args:
        candidate: The candidate.

    Returns:
        Megabytes, including the input.
    """
    measure = candidate.space.file.measure
    sample = candidate.sample
    with torch_threads(measure.threads):
        # The input is allocated before the pass and kept until its end.
        peak = sample.nbytes + peak_bytes(_run(candidate), measure.device)
    value = peak / PROTOCOL["bytes_in_mb"]
    memory = PeakMemory(bytes=peak, input_bytes=sample.nbytes)
    return exact(value, Provenance(memory=memory, deployment=candidate.deployment))


def _run(candidate: Candidate) -> Run:
    measure = candidate.space.file.measure
    if measure.device == "cpu":
        return candidate.run
    # On a GPU, candidate.run may launch a CUDA graph, which does not allocate memory.
    return prepare(measure.backend, candidate.deployed, candidate.sample, measure.threads)


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
    release_buffers()
    run()
    sizes = allocation_sizes(run)
    # The compiled kernels keep their buffers between calls, so these are there during the peak.
    return max(itertools.accumulate(sizes), default=0) + buffer_bytes()


def _peak_cuda(run: Run) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the run settings except the duration of timing, which does not affect peak memory.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
    return {**PROTOCOL, **run_settings(space.file.measure)}


def unsupported(space: SearchSpace) -> Unsupported | None:
    """Check whether the memory of the backend of a space can be measured.

    Args:
        space: The space.

    Returns:
        The reason why it cannot; None if it can.
    """
    backend = space.file.measure.backend
    if backend in BACKENDS:
        return None
    allowed = ", ".join(BACKENDS)
    return Unsupported(
        f"cannot be measured for the backend {backend}, which allocates memory itself (allowed: "
        f"{allowed})"
    )


METRIC = Metric(
    unit="MB",
    direction="minimize",
    stage="timed",
    noise="exact",
    read=read,
    protocol=protocol,
    unsupported=unsupported,
)
