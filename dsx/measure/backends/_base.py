"""What a backend is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from dsx.conv import Run
from dsx.errors import Unsupported

Prepare = Callable[[Sequence[nn.Module], Tensor, int], list[Run]]
"""From networks in eval mode, a sample and a number of threads to what runs each of them once on
that sample and gives its output, which the next run may overwrite."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Something that runs a network on the device at hand.

    Args:
        prepare: See `Prepare`; several networks at once, since for some that is far cheaper than
            one after another.
        needs: Packages that it needs, each with the extra of dsx that brings it.
        unsupported: Function that returns what else the backend needs and this machine does not
            have, as a sentence; None if it can run here.
        clock: Of a run with one thread: "thread" where the calling thread does the work, "process"
            where threads of the backend's own do.
        races: Whether the forms of a convolution are timed in it; else they are in eager, since
            preparing each of them would take too long.
        own_sentinel: Whether the sentinel runs in it too: in eager it would be slowed down by
            taking turns with the code of another library, by up to half, each time differently.
        dtypes: What it computes in, by the names of torch.
        devices: Where it runs.
        own_layout: Whether it lays tensors out as it likes, whatever a space says.
    """

    prepare: Prepare
    needs: Mapping[str, str] = field(default_factory=dict)
    unsupported: Callable[[], Unsupported | None] = lambda: None
    clock: str = "thread"
    races: bool = True
    own_reference_workload: bool = False
    dtypes: tuple[str, ...] = ("float32", "float64", "bfloat16")
    devices: tuple[str, ...] = ("cpu", "cuda")
    own_layout: bool = False
