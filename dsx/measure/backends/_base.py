"""What a backend is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from dsx.conv.timing import Run
from dsx.lookup import find


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Something that runs a network on the device at hand.

    Args:
        prepare: From a network in eval mode, a sample and a number of threads to what runs the
            network once on that sample, and gives its output.
        needs: Packages that it needs, each with the extra of dsx that brings it.
        clock: Of a run with one thread: "thread" where the calling thread does the work, "process"
            where threads of the backend's own do.
    """

    prepare: Callable[[nn.Module, Tensor, int], Run]
    needs: Mapping[str, str] = field(default_factory=dict)
    clock: str = "thread"


def prepare(name: str, network: nn.Module, sample: Tensor, threads: int) -> Run:
    """Prepare a network to be run.

    Args:
        name: Of the backend.
        network: In eval mode.
        sample: Its input.
        threads: How many it may use.

    Returns:
        Runs the network once, and gives its output.

    Raises:
        DsxError: If there is no such backend, or a package is missing.
    """
    return find(Backend, name).prepare(network, sample, threads)
