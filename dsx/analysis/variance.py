"""Scatter: how far numbers of one design lie apart, as all designs of a study together show it.

Two readings of one design say next to nothing about how far readings lie apart, and by Student's
quantile for one degree of freedom the interval of their mean is as wide as that. Two readings each
of eight designs say eight times as much. Relative to the mean, since the scatter of a time grows
with the time.

Source: the pooled variance of an analysis of variance, sum of squares over degrees of freedom.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST_FREEDOM = 4
"""With fewer degrees of freedom a scatter says too little about designs that it is not of."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How far numbers of one design lie apart.

    Args:
        deviation: Standard deviation, relative to the mean.
        freedom: Degrees of freedom behind it.
    """

    deviation: float
    freedom: int

    def half(self, mean: float, count: int) -> float:
        """Give half of the 95 % interval of a mean.

        Args:
            mean: Of the numbers of one design.
            count: How many.
        """
        # Takes a moment to import, and most designs are measured once.
        from scipy.special import stdtrit

        quantile = float(stdtrit(self.freedom, 0.975))
        return quantile * self.deviation * abs(mean) / math.sqrt(count)


def scatter_of(values: Sequence[float]) -> Scatter | None:
    """Give the scatter that the numbers of one design show; None of a single one."""
    return joint([values])


def joint(designs: Iterable[Sequence[float]]) -> Scatter | None:
    """Pool the scatter of several designs.

    Args:
        designs: The numbers of each; those with one number, or around zero, tell nothing.

    Returns:
        The scatter; None if none tells anything.
    """
    squares, freedom = 0.0, 0
    for values in designs:
        mean = statistics.fmean(values)
        if len(values) > 1 and mean:
            squares += sum((value / mean - 1) ** 2 for value in values)
            freedom += len(values) - 1
    return Scatter(deviation=math.sqrt(squares / freedom), freedom=freedom) if freedom else None
