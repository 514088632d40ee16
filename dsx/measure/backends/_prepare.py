"""Prepare networks, and the forms of a convolution, to be run by a backend."""

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
    """Prepare a network to be run.

    Args:
        name: Of the backend.
        network: In eval mode.
        sample: Its input.
        threads: How many it may use.

    Returns:
        Runs the network once, and gives its output; the next run may overwrite that. To be called
        in inference mode, with as many torch threads.

    Raises:
        DsxError: If there is no such backend, a package is missing, or it cannot do what the
            sample asks of it.
        TrialFailed: If it cannot take this network.
    """
    with activity(Kind.PREPARING_BACKEND, detail=name):
        (run,) = checked(name, sample).prepare([network], sample, threads)
    return run


def runner(name: str, threads: int) -> Runner:
    """Give what runs the forms of a convolution, to find the one that is fastest in a backend.

    Args:
        name: Of the backend.
        threads: How many it may use.

    Returns:
        The backend itself, or eager where it would take too long to prepare every form.

    Raises:
        DsxError: If there is no such backend, or a package is missing.
    """
    if not find(Backend, name).races:
        return EAGER

    def prepare_forms(forms: Sequence[nn.Module], sample: Tensor) -> list[Run | None]:
        return _forms(checked(name, sample), forms, sample, threads)

    known_as = " ".join([name, *(f"{key}={value}" for key, value in versions(name).items())])
    return Runner(name=known_as, prepare=prepare_forms)


def _forms(
    backend: Backend, forms: Sequence[nn.Module], sample: Tensor, threads: int
) -> list[Run | None]:
    """Prepare forms together, or if the backend cannot take one of them, each for itself."""
    try:
        return [*backend.prepare(forms, sample, threads)]
    except TrialFailed as error:
        refused = error
    runs: list[Run | None] = []
    for form in forms:
        try:
            runs += backend.prepare([form], sample, threads)
        except TrialFailed:
            runs.append(None)
    if not any(runs):
        raise refused
    return runs
