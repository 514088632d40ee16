"""Peak memory: megabytes (10^6 bytes) of one deployed forward pass, above the weights.

The most that torch's allocators have handed out at once: input, activations, output, and what
operators need inside themselves. Memory that libraries below torch keep is not seen.
"""

from collections.abc import Mapping
from typing import Any

from dsx.analysis import Measurement, PeakMemory, Provenance, exact
from dsx.conv import Run
from dsx.errors import Unsupported
from dsx.measure.backends import prepare
from dsx.measure.candidate import Candidate
from dsx.measure.machine.allocations import peak_bytes
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.process import torch_threads
from dsx.space import SearchSpace

BACKENDS = ("compile", "eager")
"""Those that get their memory from torch."""
PROTOCOL = {"version": 1, "bytes_in_mb": 1_000_000}


def read(candidate: Candidate) -> Measurement:
    """Run the deployed network once and follow its allocations."""
    measure = candidate.space.file.measure
    sample = candidate.sample
    with torch_threads(measure.threads):
        # The input was there before, and is there during the whole pass.
        peak = sample.nbytes + peak_bytes(_run(candidate), measure.device)
    value = peak / PROTOCOL["bytes_in_mb"]
    memory = PeakMemory(bytes=peak, input_bytes=sample.nbytes)
    return exact(value, Provenance(memory=memory, deployment=candidate.deployment))


def _run(candidate: Candidate) -> Run:
    measure = candidate.space.file.measure
    if measure.device == "cpu":
        return candidate.run
    # There a timed run may be a CUDA graph, which allocates nothing when it is launched.
    return prepare(measure.backend, candidate.deployed, candidate.sample, measure.threads)


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """How the network is run; how long it is timed makes no difference."""
    return {**PROTOCOL, **run_settings(space.file.measure)}


def unsupported(space: SearchSpace) -> Unsupported | None:
    """Return why the memory of a space's backend cannot be measured; None if it can."""
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
