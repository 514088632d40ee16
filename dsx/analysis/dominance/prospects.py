"""Prospects of repeated measurements: how many contested pairs they can be expected to decide.

The difference of two designs in an objective has the estimate d with the standard error s. After
further measurements the error is s', and the new estimate is normally distributed around d with the
variance s^2 - s'^2, since the true difference is still unknown. The pair is decided if the new
interval excludes 0, with the probability

    P(|d'| > q s') = F((d - q s') / r) + F((-d - q s') / r),   r^2 = s^2 - s'^2,

where F is the distribution function of the standard normal distribution and q its 97.5 % quantile.
If several objectives are undecided, one of them decides the pair only if the contested design is
better in it, which is one of the two terms.

The variance of a value is a part that repetition does not reduce (the sample of images, which is
common to all trainings) and a part that is divided by the number of measurements. A flagged value
has a large error until it is measured once without a flag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.differences import Objective, Rows
from dsx.analysis.dominance.pareto import Values
from dsx.analysis.rank_correlation import half_interval

USUAL_ERROR = 0.01
"""Relative standard error of a timing, assumed if there is no unflagged one."""
_TIMES = (1, 2, 4, 8)
"""Numbers of measurements that are considered, since one alone may not suffice."""
RowPairs = Sequence[tuple[int, int]]
"""Row numbers of contested designs and of the designs that could dominate them."""


@dataclass(frozen=True, kw_only=True)
class Repeatable:
    """An objective, and how its errors shrink with repeated measurements.

    Args:
        objective: Values of n designs.
        counts: (n,) number of measurements of each design.
        most: (n,) largest number of measurements of each design, at least `counts`.
    """

    objective: Objective
    counts: Values
    most: Values

    @cached_property
    def single(self) -> Values:
        """Variance of one measurement of each design, (n,), without flags."""
        objective = self.objective
        if objective.paired.any():
            # The shared part of the error of the images is not reduced by further seeds.
            between = np.full(len(self.counts), self._between_seeds())
            return np.where(objective.paired, between, self._unpaired)
        return self._unpaired

    @property
    def _unpaired(self) -> Values:
        own = self.counts * self.objective.own_variances
        flagged = self.objective.flagged
        if not flagged.any():
            return own
        size = np.where(np.isfinite(self.objective.costs), np.abs(self.objective.costs), 0.0)
        usable = ~flagged & (size > 0)
        relative = own[usable] / size[usable] ** 2
        usual = float(np.median(relative)) if usable.any() else USUAL_ERROR**2
        return np.where(flagged, usual * size**2, own)

    def _between_seeds(self) -> float:
        """Variance between two trainings of a design."""
        objective = self.objective
        if objective.noise is not None:
            return max(objective.noise.variance, 0.0)
        # Unknown. Measured on small data, the variance between seeds is as large as all of the
        # variance of a difference, half of which belongs to each design.
        rows = np.flatnonzero(objective.paired)
        found = objective.between(rows, rows)
        half = (found.high - found.low)[~np.eye(len(rows), dtype=bool)] / 2
        return float(np.median(half / half_interval()) ** 2 / 2) if len(half) else 0.0

    def reduced(self, rows: Rows, further: Values) -> Values:
        """Compute the decrease of the variance of values by further measurements.

        Args:
            rows: (p,) row numbers.
            further: (p,) number of further measurements.

        Returns:
            (p,) decreases; those of flagged values begin at the assumed error of such a value.
        """
        counts, single, flagged = self.counts[rows], self.single[rows], self.objective.flagged[rows]
        now = np.where(flagged, self.objective.readings.errors[rows] ** 2, single / counts)
        # Flagged measurements do not count once there are others.
        after = np.where(flagged, 0.0, counts) + further
        with np.errstate(divide="ignore", invalid="ignore"):
            later = np.where(after > 0, single / after, now)
        decrease: Values = np.maximum(now - later, 0.0)
        return decrease


class Prospects:
    """Prospects of measurements of the designs of contested pairs.

    Args:
        objectives: Values of all objectives; those that a measurement repeats are `Repeatable`.
        pairs: The contested pairs.

    Attributes:
        undecided: Whether the difference of a pair in an objective could be 0, (objectives, pairs).
    """

    def __init__(self, objectives: Sequence[Objective | Repeatable], pairs: RowPairs) -> None:
        self._numbers = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        self._first, self._second = self._numbers.T
        self._objectives = objectives
        parts = [self._difference(_objective(each)) for each in objectives]
        self._values, self._errors, self.undecided = (
            np.stack(part) for part in zip(*parts, strict=True)
        )

    def _difference(self, objective: Objective) -> tuple[Values, Values, NDArray[np.bool_]]:
        """Costs of the first minus costs of the second design of each pair, and their errors."""
        first, second = self._first, self._second
        known, places = np.unique(self._numbers, return_inverse=True)
        one, other = places.reshape(-1, 2).T
        found = objective.between(known, known)
        value = found.value[one, other]
        low, high = found.low[one, other], found.high[one, other]
        error = (high - low) / 2 / half_interval()
        errors = objective.readings.errors
        flagged = objective.flagged[first] | objective.flagged[second]
        same = objective.labels[first] == objective.labels[second]
        error = np.where(flagged, np.hypot(errors[first], errors[second]), error)
        error = np.where(same, 0.0, error)
        undecided = flagged | ((low <= 0) & (high >= 0))
        return value, error, undecided & ~same & (error > 0)

    def chances(self, number: int, first: Values, second: Values) -> Values:
        """Compute the probability that measurements of one objective decide each pair.

        Args:
            number: Position of the objective, a `Repeatable`.
            first: (p,) number of further measurements of the first design of each pair.
            second: (p,) number of further measurements of the second design.

        Returns:
            (p,) probabilities.
        """
        repeatable = self._objectives[number]
        assert isinstance(repeatable, Repeatable), "the objective can be measured again"
        value, error, is_open = self._values[number], self._errors[number], self.undecided[number]
        reduced = repeatable.reduced(self._first, first) + repeatable.reduced(self._second, second)
        reduced = np.minimum(reduced, error**2)
        root = np.sqrt(np.where(is_open & (reduced > 0), reduced, 1.0))
        bound = half_interval() * np.sqrt(error**2 - reduced)
        better, worse = _normal((-value - bound) / root), _normal((value - bound) / root)
        alone = self.undecided.sum(axis=0) == 1
        return np.where(is_open & (reduced > 0), better + np.where(alone, worse, 0.0), 0.0)

    def gains(self, number: int, times: int) -> Values:
        """Compute the expected number of pairs that measurements of each design decide.

        Args:
            number: Position of the objective, a `Repeatable`.
            times: Number of further measurements of the design; fewer if the limit allows fewer.

        Returns:
            (n,) expected numbers, by the design that is measured.
        """
        repeatable = self._objectives[number]
        assert isinstance(repeatable, Repeatable), "the objective can be measured again"
        left = np.minimum(times, np.maximum(repeatable.most - repeatable.counts, 0))
        none = np.zeros(len(self._first))
        labels, label = np.unique(repeatable.objective.labels, return_inverse=True)
        found = np.zeros(len(labels))
        np.add.at(found, label[self._first], self.chances(number, left[self._first], none))
        np.add.at(found, label[self._second], self.chances(number, none, left[self._second]))
        # Designs that share a reading are measured together.
        return found[label]

    def rates(self, number: int) -> Values:
        """Compute the expected number of decided pairs per measurement of each design.

        Args:
            number: Position of the objective, a `Repeatable`.

        Returns:
            (n,) the largest rates over different numbers of measurements of the design.
        """
        found: Values = self._options(number).max(axis=0)
        return found

    def best_times(self, number: int) -> Values:
        """Determine the numbers of measurements to which `rates` refer.

        Args:
            number: Position of the objective, a `Repeatable`.

        Returns:
            (n,) numbers of measurements.
        """
        times: Values = np.array(_TIMES, dtype=float)[self._options(number).argmax(axis=0)]
        return times

    def _options(self, number: int) -> Values:
        """Rates by number of measurements and design, (t, n)."""
        return np.stack([self.gains(number, times) / times for times in _TIMES])

    def decided(self, further: Sequence[Values | None]) -> Values:
        """Compute the probability that each pair is decided by measurements of several designs.

        Args:
            further: For each objective, (n,) number of further measurements of each design; None
                for an objective that is not measured again.

        Returns:
            (p,) probabilities.
        """
        undecided = np.ones(len(self._first))
        for number, times in enumerate(further):
            if times is not None:
                chances = self.chances(number, times[self._first], times[self._second])
                undecided *= 1 - chances
        return 1 - undecided

    def most(self) -> Values:
        """Compute the probability that each pair is decided at the limits of all measurements.

        Returns:
            (p,) probabilities.
        """
        return self.decided(
            [
                np.maximum(each.most - each.counts, 0) if isinstance(each, Repeatable) else None
                for each in self._objectives
            ]
        )


def _objective(each: Objective | Repeatable) -> Objective:
    return each.objective if isinstance(each, Repeatable) else each


def _normal(values: Values) -> Values:
    # Imported here, because the import takes a tenth of a second.
    from scipy.special import ndtr

    found: Values = ndtr(values)
    return found
