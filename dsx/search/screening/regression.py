"""Gaussian process over designs: what the values of some designs say about those of others.

The kernel is the mean over the slots of a radial kernel on the features of the slot, plus a linear
kernel on the logarithms of the costs of the network. Readings have a known variance (of a finite
number of images, for example) and an unknown one, which all readings share. The scale and the
length of the kernels and the unknown variance maximise the marginal likelihood on a grid.

Source: C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, algorithm
2.1 and equation 5.8.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsx.search.screening.tables import Rows, Tables, Values

LENGTHS = (0.5, 2.0, 8.0)
"""Squared lengths of the radial kernel, relative to the number of features."""
SLOPES = (0.03, 0.3)
"""Variances of the linear kernel, relative to that of the radial one."""
AMPLITUDES = (0.3, 1.0, 3.0)
"""Variances of the radial kernel, relative to the variance of the readings."""
NUGGETS = (0.03, 0.1, 0.3, 0.6)
"""Unknown variances, relative to the variance of the readings."""
_SMALLEST = 1e-9


class Normal(NamedTuple):
    """Normal distributions of the values of n designs.

    Attributes:
        mean: (n,) means, which are also the medians.
        deviation: (n,) standard deviations.
    """

    mean: Values
    deviation: Values


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The kernel between designs.

    Args:
        tables: Tables of the search space.
        length: Squared length of the radial kernel.
        slope: Variance of the linear kernel.
    """

    tables: Tables
    length: float
    slope: float

    def between(self, these: Rows, those: Rows) -> Values:
        """Compute the kernel between designs.

        Args:
            these: (n, slots) numbers of settings.
            those: (k, slots) numbers of settings.

        Returns:
            (n, k) covariances, relative to the variance of the radial kernel.
        """
        total = np.zeros((len(these), len(those)))
        for this, that, table in zip(these.T, those.T, self.tables.slots, strict=True):
            own, places = np.unique(this, return_inverse=True)
            others, other_places = np.unique(that, return_inverse=True)
            a, b = _scaled(table.features, own), _scaled(table.features, others)
            squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
            width = self.length * table.features.shape[1]
            radial = np.exp(-np.maximum(squares, 0.0) / (2 * width))
            total += radial[places][:, other_places]
        costs, other_costs = self._costs(these), self._costs(those)
        linear: Values = costs @ other_costs.T / costs.shape[1]
        return total / len(self.tables.slots) + self.slope * linear

    def variances(self, rows: Rows) -> Values:
        """Compute the prior variance of designs.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n,) variances, relative to that of the radial kernel.
        """
        found: Values = 1.0 + self.slope * (self._costs(rows) ** 2).mean(axis=1)
        return found

    def _costs(self, rows: Rows) -> Values:
        """Return the logarithms of the relative costs, shifted towards a mean of 0."""
        found: Values = np.log2(self.tables.costs(rows) / np.maximum(self.tables.baseline, 1))
        return found + 1.0


def _scaled(features: Values, rows: Rows) -> Values:
    """Standardise features over all settings of a slot."""
    found: Values = (features[rows] - features.mean(axis=0)) / (features.std(axis=0) + 0.15)
    return found


class Process:
    """A Gaussian process that is fitted to readings of designs.

    Args:
        tables: Tables of the search space.
        rows: (n, slots) designs with readings, at least two.
        readings: (n,) values on a scale on which errors are about normal.
        variances: (n,) known variances of the readings.
    """

    def __init__(self, tables: Tables, rows: Rows, readings: Values, variances: Values) -> None:
        self.rows = rows
        self.centre = float(readings.mean())
        spread = float(readings.var()) + _SMALLEST
        residuals = readings - self.centre
        best = -np.inf
        for length, slope in itertools.product(LENGTHS, SLOPES):
            kernel = Kernel(tables=tables, length=length, slope=slope)
            between = kernel.between(rows, rows)
            for amplitude, nugget in itertools.product(AMPLITUDES, NUGGETS):
                noise = variances + nugget * spread
                factor = np.linalg.cholesky(amplitude * spread * between + np.diag(noise))
                whitened = np.linalg.solve(factor, residuals)
                evidence = -0.5 * whitened @ whitened - np.log(np.diag(factor)).sum()
                evidence -= 0.05 * np.log(amplitude) ** 2
                if evidence > best:
                    best = evidence
                    self.kernel, self.variance = kernel, amplitude * spread
                    self._factor, self._whitened, self.noise = factor, whitened, noise

    def predict(self, rows: Rows) -> Normal:
        """Predict the true values of designs, with or without readings.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            The posterior distributions.
        """
        between = self.variance * self.kernel.between(self.rows, rows)
        weights = np.linalg.solve(self._factor, between)
        prior = self.variance * self.kernel.variances(rows)
        left = np.maximum(prior - (weights**2).sum(axis=0), _SMALLEST)
        return Normal(self.centre + weights.T @ self._whitened, np.sqrt(left))

    def sample(self, rows: Rows, noise: Values) -> Values:
        """Sample the true values of designs from their joint posterior distribution.

        Args:
            rows: (n, slots) numbers of settings.
            noise: (draws, n) standard normal numbers.

        Returns:
            (draws, n) samples.
        """
        between = self.variance * self.kernel.between(self.rows, rows)
        weights = np.linalg.solve(self._factor, between)
        covariance = self.variance * self.kernel.between(rows, rows) - weights.T @ weights
        values, vectors = np.linalg.eigh(covariance)
        # Rounding errors make the smallest eigenvalues negative.
        spread = vectors * np.sqrt(np.maximum(values, 0.0))
        found: Values = self.centre + weights.T @ self._whitened + noise @ spread.T
        return found

    def leave_one_out(self) -> Normal:
        """Predict the reading of each design from those of the other designs.

        Returns:
            Distributions of the (n,) readings, including their noise.

        Source:
            Rasmussen and Williams, equations 5.10 to 5.12.
        """
        inverse = np.linalg.inv(self._factor)
        precision = (inverse**2).sum(axis=0)
        residuals = (inverse.T @ self._whitened) / precision
        readings = self.centre + self._factor @ self._whitened
        return Normal(readings - residuals, 1 / np.sqrt(precision))
