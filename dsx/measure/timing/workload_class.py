"""Company: what the sentinel is timed beside, which decides what it has to be like."""

from dataclasses import dataclass
from typing import Literal

from dsx.space import SearchSpace

Grain = Literal["fine", "coarse"]

COARSE = 10e6
"""From so many multiply-adds in one call of a convolution on, a network is of coarse grain."""


@dataclass(frozen=True, kw_only=True)
class WorkloadClass:
    """A network as the sentinel sees it.

    All designs of a space have the same: the baseline's, so that their numbers compare.

    Args:
        grain: Whether its convolutions take little or much time each.
        network: Names the network and how it is run; empty where there is none.
    """

    grain: Grain = "fine"
    network: str = ""


ALONE = WorkloadClass()
"""No network at all."""


def classify_workload(space: SearchSpace) -> WorkloadClass:
    """Give what the sentinel keeps company with in a space.

    Args:
        space: The space.

    Returns:
        The baseline, as it is run.
    """
    baseline, measure = space.baseline, space.file.measure
    each = space.cost(baseline).flops * measure.batch / len(space.analysis.slots)
    layout = "channels_last" if measure.channels_last else "contiguous"
    return WorkloadClass(
        grain="coarse" if each >= COARSE else "fine",
        network=f"{baseline.id} x{measure.batch} {measure.dtype} {layout}",
    )
