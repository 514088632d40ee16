"""Pooled relative standard deviation of repeated values, over all designs of a study.

Two readings of one design say little about the deviation of readings: with one degree of freedom,
Student's quantile makes the interval of their mean very wide. Two readings of each of eight designs
give eight degrees of freedom. Deviations are relative to the mean, because the deviation of a time
is proportional to the time.

Source: Pooled variance of an analysis of variance, sum of squares over degrees of freedom.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MIN_FREEDOM = 4
"""Smallest number of degrees of freedom with which a deviation applies to other designs."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Relative standard deviation of repeated values of one design.

    Args:
        deviation: Standard deviation, relative to the mean.
        freedom: Number of degrees of freedom.
    """

    deviation: float
    freedom: int

    def half(self, mean: float, count: int) -> float:
        """Compute the half-width of the 95 % interval of a mean.

        Args:
            mean: Mean of the values of one design.
            count: Number of values.

        Returns:
            The half-width in the unit of the mean.
        """
        # Imported here, because the import is slow and most designs are measured once.
        from scipy.special import stdtrit

        quantile = float(stdtrit(self.freedom, 0.975))
        return quantile * self.deviation * abs(mean) / math.sqrt(count)


def deviation_of(values: Sequence[float]) -> Deviation | None:
    """Compute the deviation of the values of one design.

    Args:
        values: Values of the design.

    Returns:
        The deviation; None for a single value.
    """
    return pooled_deviation([values])


def pooled_deviation(designs: Iterable[Sequence[float]]) -> Deviation | None:
    """Pool the deviations of several designs.

    Args:
        designs: Values of each design; designs with one value or a mean of zero are skipped.

    Returns:
        The pooled deviation; None if all designs are skipped.
    """
    squares, freedom = 0.0, 0
    for values in designs:
        mean = statistics.fmean(values)
        if len(values) > 1 and mean:
            squares += sum((value / mean - 1) ** 2 for value in values)
            freedom += len(values) - 1
    return Deviation(deviation=math.sqrt(squares / freedom), freedom=freedom) if freedom else None
