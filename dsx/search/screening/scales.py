"""Scales on which the values of a metric are modelled.

Models work with costs, which are to be minimised. On its scale, the error of a reading is about
normal, so that the mean of a prediction is its median on the original scale.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri

from dsx.search.screening.regression import Normal
from dsx.search.screening.tables import Values

NODES = 64
"""Number of equally probable values that represent a distribution without closed form."""


class Scale(Protocol):
    """A scale on which the costs of designs are modelled."""

    def of(self, costs: Values) -> Values:
        """Convert costs to this scale.

        Args:
            costs: (n,) costs.
        """

    def back(self, values: Values) -> Values:
        """Convert values on this scale to costs.

        Args:
            values: Values of any shape.
        """

    def shortfall(self, predicted: Normal, limit: float) -> Values:
        """Compute the expected amount by which costs are below a limit.

        Args:
            predicted: Distributions of n values on this scale.
            limit: The limit, a cost.

        Returns:
            (n,) expectations of max(0, limit - cost).
        """


@dataclass(frozen=True, kw_only=True)
class LogErrors:
    """The logarithm of the share of errors, log((errors + 1/2) / (examples + 1)).

    Args:
        examples: Number of examples.
        offset: Share of errors at a cost of 0: 1 for an accuracy, whose cost is its negative value.
    """

    examples: float
    offset: float

    def of(self, costs: Values) -> Values:
        """Convert costs to this scale.

        Args:
            costs: (n,) costs.

        Returns:
            (n,) values on this scale.
        """
        errors = np.clip(costs + self.offset, 0.0, 1.0) * self.examples
        found: Values = np.log((errors + 0.5) / (self.examples + 1))
        return found

    def back(self, values: Values) -> Values:
        """Convert values on this scale to costs.

        Args:
            values: Values of any shape.

        Returns:
            Costs of the same shape.
        """
        found: Values = self._shares(np.exp(values)) - self.offset
        return found

    def shortfall(self, predicted: Normal, limit: float) -> Values:
        """Compute the expected amount by which costs are below a limit.

        Args:
            predicted: Distributions of n values on this scale.
            limit: The limit, a cost.

        Returns:
            (n,) expectations of max(0, limit - cost).

        Source:
            F. Black, M. Scholes, The pricing of options and corporate liabilities, 1973, equation
            13 (the value of a put option is such an expectation over a log-normal price).
        """
        mean, deviation = predicted
        most = ((limit + self.offset) * self.examples + 0.5) / (self.examples + 1)
        if most <= 0:
            return np.zeros(len(mean))
        place = (np.log(most) - mean) / deviation
        below = most * ndtr(place) - np.exp(mean + deviation**2 / 2) * ndtr(place - deviation)
        found: Values = np.maximum(below, 0.0) * (self.examples + 1) / self.examples
        return found

    def variances(self, costs: Values) -> Values:
        """Compute the variance that the finite number of examples causes on this scale.

        Args:
            costs: (n,) costs.

        Returns:
            (n,) variances of the logarithm, to first order.
        """
        share = np.exp(self.of(costs))
        found: Values = (1 - share) / (share * (self.examples + 1))
        return found

    def _shares(self, smoothed: Values) -> Values:
        found: Values = (smoothed * (self.examples + 1) - 0.5) / self.examples
        return found


class Ranks:
    """Normal scores of the ranks of known costs, for a metric whose range is unknown.

    Args:
        costs: (n,) known costs, at least one.
    """

    def __init__(self, costs: Values) -> None:
        self.costs, counts = np.unique(costs, return_counts=True)
        self.scores = ndtri((np.cumsum(counts) - counts / 2) / counts.sum())
        span, scores = np.ptp(self.costs), np.ptp(self.scores)
        self.slope = float(span / scores) if scores else float(abs(self.costs[0])) or 1.0
        """Costs per unit of the scores, with which the scale continues beyond the known costs."""

    def of(self, costs: Values) -> Values:
        """Convert costs to this scale.

        Args:
            costs: (n,) costs.

        Returns:
            (n,) values on this scale.
        """
        beyond = (costs - np.clip(costs, self.costs[0], self.costs[-1])) / self.slope
        found: Values = np.interp(costs, self.costs, self.scores) + beyond
        return found

    def back(self, values: Values) -> Values:
        """Convert values on this scale to costs.

        Args:
            values: Values of any shape.

        Returns:
            Costs of the same shape.
        """
        beyond = (values - np.clip(values, self.scores[0], self.scores[-1])) * self.slope
        found: Values = np.interp(values, self.scores, self.costs) + beyond
        return found

    def shortfall(self, predicted: Normal, limit: float) -> Values:
        """Compute the expected amount by which costs are below a limit.

        Args:
            predicted: Distributions of n values on this scale.
            limit: The limit, a cost.

        Returns:
            (n,) expectations of max(0, limit - cost),
            each the mean over equally probable values.
        """
        nodes = ndtri((np.arange(NODES) + 0.5) / NODES)
        costs = self.back(predicted.mean[:, None] + nodes * predicted.deviation[:, None])
        found: Values = np.maximum(limit - costs, 0.0).mean(axis=1)
        return found
