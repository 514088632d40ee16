"""Workload classes of search spaces, which determine the reference workload."""

from dataclasses import dataclass
from typing import Literal

from dsx.space import SearchSpace

Grain = Literal["fine", "coarse"]

COARSE = 10e6
"""Mean multiply-adds in a call of a convolution from which a network is coarse grained."""


@dataclass(frozen=True, kw_only=True)
class WorkloadClass:
    """The properties of a network that determine the reference workload and its reference time.

    All designs of a space have the class of its baseline, so that their values are comparable.

    Args:
        grain: Whether a call of a convolution takes little (`fine`) or much time (`coarse`).
        network: Identification of the network and its input; empty without a network.
    """

    grain: Grain = "fine"
    network: str = ""


ALONE = WorkloadClass()
"""Workload class without a network."""


def classify_workload(space: SearchSpace) -> WorkloadClass:
    """Determine the workload class of a space.

    Args:
        space: The space.

    Returns:
        The workload class of its baseline.
    """
    baseline, measure = space.baseline, space.file.measure
    each = space.cost(baseline).flops * measure.batch / len(space.analysis.slots)
    layout = "channels_last" if measure.channels_last else "contiguous"
    return WorkloadClass(
        grain="coarse" if each >= COARSE else "fine",
        network=f"{baseline.id} x{measure.batch} {measure.dtype} {layout}",
    )
