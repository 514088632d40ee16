"""Contract of a backend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from dsx.conv import Run
from dsx.errors import Unsupported

Prepare = Callable[[Sequence[nn.Module], Tensor, int], list[Run]]
"""Function from networks in eval mode, an input and a number of threads to one run per network. A
run returns the output, which the next run may overwrite."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A runtime that runs networks.

    Args:
        prepare: Function that prepares networks, see `Prepare`. Several networks are prepared at
            once, because this is much faster for some backends.
        needs: Required packages, each with the extra of dsx that installs it.
        unsupported: Function that returns what else the backend requires and this machine does not
            have; None if the backend can run here.
        clock: Clock of a run with one thread: "thread" if the calling thread does the work,
            "process" if threads of the backend do it.
        times_forms: Whether the deployed forms of convolutions are timed in this backend.
            Otherwise they are timed in eager, because preparing each form would take too long.
        own_reference_workload: Whether the reference workload runs in this backend. In eager it
            would be slowed down by up to 50 % by alternating with the code of another library.
        dtypes: Supported dtypes by their names in torch.
        devices: Supported devices.
        own_layout: Whether the backend selects the memory layout regardless of `channels_last`.
        native_forms: Whether the backend can call the compiled kernels of dsx.
    """

    prepare: Prepare
    needs: Mapping[str, str] = field(default_factory=dict)
    unsupported: Callable[[], Unsupported | None] = lambda: None
    clock: str = "thread"
    times_forms: bool = True
    own_reference_workload: bool = False
    dtypes: tuple[str, ...] = ("float32", "float64", "bfloat16")
    devices: tuple[str, ...] = ("cpu", "cuda")
    own_layout: bool = False
    native_forms: bool = False
