"""Rank: how well one list of numbers orders what another one, known to an interval, orders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES = 1000
REPETITIONS = 200
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The rank correlation of two lists.

    Args:
        tau: Kendall's tau-b, -1..1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        spearman: Spearman's rho, -1..1.
    """

    tau: float
    low: float
    high: float
    spearman: float


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The pairs whose order is known, since their intervals do not overlap.

    Args:
        told_apart: How many there are.
        misordered: How many of them the other list orders the other way.
        undecided: How many of them are equal in the other list.
    """

    decided: int
    misordered: int
    undecided: int


def half_interval() -> float:
    """Return half the width of a 95 % interval of the standard normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(0.975))


def tau(x: Numbers, y: Numbers) -> float:
    """Give Kendall's tau-b of two lists of three or more numbers, neither of them constant."""
    from scipy.stats import kendalltau

    # The method is that of a p-value, which is not asked for.
    return float(kendalltau(x, y, method="asymptotic").statistic)


def agreement(x: Numbers, y: Numbers) -> Agreement:
    """Compare the order of two lists, neither of them constant.

    Args:
        x: (n,) numbers, n >= 3.
        y: (n,) numbers of the same n things.

    Returns:
        The rank correlations. The interval of tau is the bootstrap's: percentiles over resamples
        of the things, less those that leave a list constant. Where both lists order everything
        alike it has no width, however few things there are.
    """
    from scipy.stats import spearmanr

    # The same resamples each time: what is compared with the same list is compared alike.
    rng = np.random.default_rng(_SEED)
    draws = [rng.integers(len(x), size=len(x)) for _ in range(RESAMPLES)]
    taus = [tau(x[draw], y[draw]) for draw in draws if np.ptp(x[draw]) and np.ptp(y[draw])]
    low, high = np.percentile(taus, [2.5, 97.5]).tolist()
    return Agreement(tau=tau(x, y), low=low, high=high, spearman=float(spearmanr(x, y).statistic))


def ceiling(
    value: Numbers, low: Numbers, high: Numbers, same: NDArray[np.intp] | None = None
) -> float:
    """Say how well two measurements of the same things would agree, by simulation.

    Args:
        value: (n,) measured numbers, n >= 3, not all the same.
        low: (n,) lower ends of their 95 % intervals.
        high: (n,) upper ends.
        same: (n,) integers, equal for things that share one measurement, such as designs with
            equal deployed networks; None if no two share any.

    Returns:
        The mean tau of two draws from normal distributions around the values, wide as the
        intervals are below and above.
    """
    rng, half = np.random.default_rng(_SEED), half_interval()

    def drawn() -> Numbers:
        away = rng.standard_normal(len(value)) / half
        away = away if same is None else away[same]
        return np.where(away < 0, value + away * (value - low), value + away * (high - value))

    return float(np.mean([tau(drawn(), drawn()) for _ in range(REPETITIONS)]))


def pairs(x: Numbers, low: Numbers, high: Numbers) -> Pairs:
    """Count the pairs that a list orders otherwise than what is known to an interval.

    Args:
        x: (n,) numbers.
        low: (n,) lower ends of the intervals of what they stand for.
        high: (n,) upper ends.

    Returns:
        The counts.
    """
    decided = misordered = undecided = 0
    for own, end in zip(x, high, strict=True):
        above = x[low > end]
        decided += len(above)
        misordered += int(np.count_nonzero(above < own))
        undecided += int(np.count_nonzero(above == own))
    return Pairs(decided=decided, misordered=misordered, undecided=undecided)
