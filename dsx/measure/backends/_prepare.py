"""Preparation of networks and deployed forms to be run in a backend."""

from collections.abc import Sequence

from torch import Tensor, nn

from dsx.activity import Kind, activity
from dsx.conv import Run
from dsx.conv.deploy import EAGER, Runner
from dsx.errors import TrialFailed
from dsx.lookup import find
from dsx.measure.backends._base import Backend
from dsx.measure.backends._check import checked, versions


def prepare(name: str, network: nn.Module, sample: Tensor, threads: int) -> Run:
    """Prepare a network to be run in a backend.

    Args:
        name: Name of the backend.
        network: Network in eval mode.
        sample: Input of the network.
        threads: Number of threads.

    Returns:
        Function that runs the network once and returns the output, which the next run may
        overwrite. It must be called in inference mode with the same number of torch threads.

    Raises:
        DsxError: If there is no such backend, one of its packages is missing, or it does not
            support the dtype, device or layout of the input.
        TrialFailed: If the backend does not support the network.
    """
    with activity(Kind.PREPARING_BACKEND, detail=name):
        (run,) = checked(name, sample).prepare([network], sample, threads)
    return run


def runner(name: str, threads: int) -> Runner:
    """Return the runner with which deployed forms are selected for a backend.

    Args:
        name: Name of the backend.
        threads: Number of threads.

    Returns:
        Runner of the backend, or of eager if preparing every form in the backend takes too long.

    Raises:
        DsxError: If there is no such backend, or one of its packages is missing.
    """
    if not find(Backend, name).times_forms:
        return EAGER

    def prepare_forms(forms: Sequence[nn.Module], sample: Tensor) -> list[Run | None]:
        return _forms(checked(name, sample), forms, sample, threads)

    identity = " ".join([name, *(f"{key}={value}" for key, value in versions(name).items())])
    return Runner(name=identity, prepare=prepare_forms)


def _forms(
    backend: Backend, forms: Sequence[nn.Module], sample: Tensor, threads: int
) -> list[Run | None]:
    """Prepare forms together, or one by one if the backend does not support one of them."""
    try:
        return [*backend.prepare(forms, sample, threads)]
    except TrialFailed as error:
        first_error = error
    runs: list[Run | None] = []
    for form in forms:
        try:
            runs += backend.prepare([form], sample, threads)
        except TrialFailed:
            runs.append(None)
    if not any(runs):
        raise first_error
    return runs
