"""Differences between the costs of designs in one objective, with 95 % intervals.

Designs with a result for each example are compared in pairs (`dsx.analysis.paired`). The errors of
other values are independent of each other, so the half-widths of their intervals are added in
quadrature. Designs that share one reading have the same cost, so their difference is exactly 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.dominance.pareto import Values
from dsx.analysis.dominance.probability import Readings
from dsx.analysis.estimate import Estimate
from dsx.analysis.paired import (
    Differences,
    SeedNoise,
    compare_designs,
    compare_weights,
    own_errors,
)
from dsx.analysis.rank_correlation import half_interval

Rows = NDArray[np.intp]

FLAGGED_ERROR = 0.5
"""Relative error assumed for flagged values, about twice the largest that was observed (26 %)."""

UNBOUNDED = 10.0
"""Standard error that is assumed for an unbounded interval, relative to the largest cost."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The values of n designs in one objective.

    Args:
        estimates: Estimate of each design.
        sign: 1 if the objective is minimised, -1 if it is maximised.
    """

    estimates: Sequence[Estimate]
    sign: float

    @cached_property
    def costs(self) -> Values:
        """Costs to be minimised, (n,)."""
        return self.sign * np.array([each.value for each in self.estimates], dtype=float)

    @cached_property
    def labels(self) -> Rows:
        """Integers that are equal for designs with the same readings, (n,)."""
        numbers: dict[object, int] = {}
        owners = [each.rests_on or object() for each in self.estimates]
        return np.array([numbers.setdefault(own, len(numbers)) for own in owners], dtype=np.intp)

    @cached_property
    def paired(self) -> NDArray[np.bool_]:
        """Whether a design has results for the examples that most designs have, (n,)."""
        kinds = [frozenset(one.examples for one in each.examples) for each in self.estimates]
        known = [kind for kind in kinds if len(kind) == 1]
        most = max(known, key=known.count, default=None)
        return np.array([kind == most for kind in kinds], dtype=bool)

    @cached_property
    def noise(self) -> SeedNoise | None:
        """Differences between trainings; None if too few designs have several."""
        return SeedNoise.of(list(self._results.values()))

    @cached_property
    def _results(self) -> dict[int, Values]:
        """Results of the paired designs by row number, (k, e) each."""
        return {
            row: np.stack([one.values for one in each.examples])
            for row, each in enumerate(self.estimates)
            if self.paired[row]
        }

    @cached_property
    def _halves(self) -> tuple[Values, Values]:
        """Half-widths of the intervals below and above the costs, (n,) each."""
        # Infinite values have no width.
        ends = [
            (0.0, 0.0) if each.exact else (each.value - each.low, each.high - each.value)
            for each in self.estimates
        ]
        below, above = np.array(ends, dtype=float).reshape(-1, 2).T
        return (below, above) if self.sign > 0 else (above, below)

    @cached_property
    def flagged(self) -> NDArray[np.bool_]:
        """Whether a value rests on unconverged or noisy readings only, (n,)."""
        return np.array([each.flagged for each in self.estimates], dtype=bool)

    @cached_property
    def own_variances(self) -> Values:
        """Squares of the standard errors of the values, without regard to flags, (n,)."""
        found: Values = (np.maximum(*self._halves) / half_interval()) ** 2
        return found

    @cached_property
    def readings(self) -> Readings:
        """The costs with the errors that do not affect all designs equally."""
        errors = np.sqrt(self.own_variances)
        rows = np.flatnonzero(self.paired)
        if len(rows) > 1:
            results = [self._results[int(row)] for row in rows]
            errors[rows] = own_errors(results, self.noise)
        finite = np.isfinite(self.costs)
        size = np.where(finite, np.abs(self.costs), 0.0)
        least = FLAGGED_ERROR * size / half_interval()
        errors = np.where(self.flagged, np.maximum(errors, least), errors)
        # An unbounded interval is as good as one that contains all costs several times.
        widest = UNBOUNDED * size.max(initial=0.0)
        errors = np.where(finite, np.minimum(errors, widest), 0.0)
        return Readings(costs=self.costs, errors=errors, labels=self.labels)

    def bounds(self, these: Rows, those: Rows) -> tuple[Values, Values]:
        """Bound the differences of two sets of designs; flagged values decide nothing.

        Args:
            these: (n,) row numbers.
            those: (m,) row numbers.

        Returns:
            Lower and upper ends of the costs of `these` minus costs of `those`, (n, m) each.
        """
        low, high = self.unflagged_bounds(these, those)
        same = self.labels[these][:, None] == self.labels[those][None, :]
        unknown = (self.flagged[these][:, None] | self.flagged[those][None, :]) & ~same
        return np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high)

    def unflagged_bounds(self, these: Rows, those: Rows) -> tuple[Values, Values]:
        """Bound the differences of two sets of designs as if no value were flagged.

        Args:
            these: (n,) row numbers.
            those: (m,) row numbers.

        Returns:
            Lower and upper ends of the costs of `these` minus costs of `those`, (n, m) each.
        """
        found = self.between(these, those)
        return found.low, found.high

    def differ(self, one: int, other: int) -> bool:
        """Check whether two designs certainly differ, with a large error of flagged values.

        Args:
            one: Row number of a design.
            other: Row number of another one.

        Returns:
            Whether the 95 % interval of the difference excludes 0.
        """
        found = self.between(np.array([one]), np.array([other]))
        low, high, value = (float(part[0, 0]) for part in (found.low, found.high, found.value))
        if (self.flagged[one] or self.flagged[other]) and self.labels[one] != self.labels[other]:
            half = half_interval() * float(np.hypot(*self.readings.errors[[one, other]]))
            low, high = value - half, value + half
        return not low <= 0 <= high

    def between(self, these: Rows, those: Rows) -> Differences:
        """Compare two sets of designs, without regard to flags.

        Args:
            these: (n,) row numbers.
            those: (m,) row numbers.

        Returns:
            (n, m) costs of `these` minus costs of `those`.
        """
        below, above = self._halves
        with np.errstate(invalid="ignore"):
            # Equal infinite costs do not differ.
            value = np.nan_to_num(
                self.costs[these][:, None] - self.costs[those][None, :],
                posinf=np.inf, neginf=-np.inf,
            )  # fmt: skip
        low = value - np.hypot(below[these][:, None], above[those][None, :])
        high = value + np.hypot(above[these][:, None], below[those][None, :])
        parts = np.stack([value, low, high])
        rows, columns = self.paired[these], self.paired[those]
        if rows.any() and columns.any():
            found = self._in_pairs(these[rows], those[columns])
            for part, pairs in zip(parts, found, strict=True):
                part[np.ix_(rows, columns)] = pairs
        same = self.labels[these][:, None] == self.labels[those][None, :]
        value, low, high = np.where(same, 0.0, parts)
        return Differences(value=value, low=low, high=high)

    def _in_pairs(self, these: Rows, those: Rows) -> Values:
        """Compare paired designs: differences, lower ends and upper ends, (3, n, m)."""
        first, second = ([self._results[int(row)] for row in rows] for rows in (these, those))
        if self.noise is not None:
            found = compare_designs(first, second, self.noise)
        else:
            # The weights of the first training are those that an export contains.
            found = compare_weights(
                np.stack([each[0] for each in first]), np.stack([each[0] for each in second])
            )
        ends = (found.low, found.high) if self.sign > 0 else (-found.high, -found.low)
        return np.stack([self.sign * found.value, *ends])
