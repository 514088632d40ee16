"""Rank correlation of two metrics, of which one is known up to confidence intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES = 1000
REPETITIONS = 200
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Rank correlation of two lists of values.

    Args:
        tau: Kendall's tau-b, -1..1.
        low: Lower end of the 95 % interval of tau.
        high: Upper end of the interval.
        spearman: Spearman's rho, -1..1.
    """

    tau: float
    low: float
    high: float
    spearman: float


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Counts of the pairs whose order is known, because their intervals do not overlap.

    Args:
        decided: Number of these pairs.
        misordered: Number of these pairs in opposite order in the other list.
        undecided: Number of these pairs with equal values in the other list.
    """

    decided: int
    misordered: int
    undecided: int


def half_interval() -> float:
    """Return the half-width of the 95 % interval of the standard normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(0.975))


def tau(x: Numbers, y: Numbers) -> float:
    """Compute Kendall's tau-b of two lists that are not constant.

    Args:
        x: (n,) values, n >= 3.
        y: (n,) values.

    Returns:
        The rank correlation, -1..1.
    """
    from scipy.stats import kendalltau

    # The method concerns the p-value, which is not used.
    return float(kendalltau(x, y, method="asymptotic").statistic)


def agreement(x: Numbers, y: Numbers) -> Agreement:
    """Compute the rank correlation of two lists that are not constant.

    Args:
        x: (n,) values, n >= 3.
        y: (n,) values of the same n items.

    Returns:
        The rank correlations. The interval of tau consists of bootstrap percentiles over resamples
        of the items, without resamples in which a list is constant. If both lists have the same
        order, the interval has no width, however small n is.
    """
    from scipy.stats import spearmanr

    # The seed is fixed, so that comparisons with the same list use the same resamples.
    rng, n = np.random.default_rng(_SEED), len(x)
    resamples = [rng.integers(n, size=n) for _ in range(RESAMPLES)]
    taus = _taus(x, y, np.stack([np.bincount(items, minlength=n) for items in resamples]))
    low, high = np.percentile(taus, [2.5, 97.5]).tolist()
    return Agreement(tau=tau(x, y), low=low, high=high, spearman=float(spearmanr(x, y).statistic))


def _taus(x: Numbers, y: Numbers, counts: NDArray[np.intp]) -> Numbers:
    """Compute tau-b for resamples, given how often (r, n) each item occurs in each of them.

    A pair of items contributes the product of its counts, because copies of one item are tied.
    Calls of scipy for each resample would take seconds.
    """
    one, other = (np.sign(np.subtract.outer(side, side)) for side in (x, y))
    weights = counts.astype(np.float64)

    def summed(pairs: Numbers) -> Numbers:
        found: Numbers = np.einsum("ri,ri->r", weights @ pairs, weights)
        return found

    agreeing, untied = summed(one * other), summed(one**2) * summed(other**2)
    varied = untied > 0
    return agreeing[varied] / np.sqrt(untied[varied])


def ceiling(
    value: Numbers, low: Numbers, high: Numbers, same: NDArray[np.intp] | None = None
) -> float:
    """Simulate the rank correlation of two independent measurements of the same items.

    Args:
        value: (n,) measured values, n >= 3, not all equal.
        low: (n,) lower ends of the 95 % intervals of the values.
        high: (n,) upper ends of the intervals.
        same: (n,) integers, equal for items that share one measurement, such as designs with
            equal deployed networks; None if no items share a measurement.

    Returns:
        The mean tau of pairs of samples from normal distributions around the values, with the
        widths of the intervals below and above the values.
    """
    rng, half = np.random.default_rng(_SEED), half_interval()

    def sample() -> Numbers:
        offset = rng.standard_normal(len(value)) / half
        offset = offset if same is None else offset[same]
        return np.where(offset < 0, value + offset * (value - low), value + offset * (high - value))

    return float(np.mean([tau(sample(), sample()) for _ in range(REPETITIONS)]))


def pairs(x: Numbers, low: Numbers, high: Numbers) -> Pairs:
    """Count the pairs of items that are ordered differently by two metrics.

    Args:
        x: (n,) values of the first metric.
        low: (n,) lower ends of the intervals of the second metric.
        high: (n,) upper ends of the intervals.

    Returns:
        The counts of the pairs whose intervals do not overlap.
    """
    decided = misordered = undecided = 0
    for own, end in zip(x, high, strict=True):
        above = x[low > end]
        decided += len(above)
        misordered += int(np.count_nonzero(above < own))
        undecided += int(np.count_nonzero(above == own))
    return Pairs(decided=decided, misordered=misordered, undecided=undecided)
