"""Probability that a design is on the front, given the uncertainty of its values.

A bootstrap of readings would favour overestimated designs, because the best reading of many designs
is too good on average. Instead, samples are drawn from the posterior of the true values. For each
objective, the true values are normally distributed around a linear function of the logarithms of
the other objectives, as far as these are known precisely (larger networks are more accurate, for
example). The standard deviation tau around this function is estimated from the readings, each of
which has a known error; its prior is s / (s + tau)^2 for the mean error s. A reading is thus
shrunken towards the function, the more so the larger its error is compared with tau. The
probability of a design is the share of samples in which no other design dominates it.

Source: A. Gelman et al., Bayesian Data Analysis, 3rd edition, 2013, sections 5.4 and 15.1 (normal
model with known errors). W. DuMouchel, Hierarchical Bayes linear models for meta-analysis, National
Institute of Statistical Sciences, Technical Report 27, 1994 (prior of tau).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.dominance.pareto import Values, dominate, non_dominated

SAMPLES = 1000
MOST_NUMBERS = 4_000_000
"""Largest number of sampled values of one objective, which limits memory and time."""
FAR = 5.0
"""Number of standard errors by which a design is dominated that is never on the front."""
PRECISE = 0.2
"""Largest mean error of a precisely known objective, relative to the deviation of its values."""
_SEED = 0
_GRID = 60
"""Number of values of tau in the numerical posterior."""


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Values of one objective with their errors.

    Args:
        costs: (n,) values to be minimised; may be infinite.
        errors: (n,) standard errors, independent of each other; 0 for exact values.
        labels: (n,) integers; designs with equal labels share one reading.
    """

    costs: Values
    errors: Values
    labels: NDArray[np.intp]


def front_probabilities(objectives: Sequence[Readings], samples: int = SAMPLES) -> Values:
    """Estimate the probability that each design is on the front.

    Args:
        objectives: Values of n designs in each objective.
        samples: Number of samples of the true values.

    Returns:
        (n,) probabilities, 0..1.
    """
    rng = np.random.default_rng(_SEED)
    count = len(objectives[0].costs)
    if not count:
        return np.zeros(0)
    if not any(each.errors.any() for each in objectives):
        samples = 1
    samples = min(samples, max(MOST_NUMBERS // count, 1))
    rows = _plausible(objectives)
    drawn = np.stack([each[:, rows] for each in _drawn(objectives, samples, rng)], axis=2)
    found = np.zeros(count)
    found[rows] = np.mean([non_dominated(costs) for costs in drawn], axis=0)
    return found


def _plausible(objectives: Sequence[Readings]) -> NDArray[np.intp]:
    """Find the designs that no other design dominates by many standard errors."""
    costs = np.stack([each.costs for each in objectives], axis=1)
    margins = FAR * np.stack([each.errors for each in objectives], axis=1)
    worst = costs + margins
    best = worst[non_dominated(worst)]
    kept = [
        ~dominate(best, block).any(axis=1)
        for block in np.array_split(costs - margins, max(1, len(costs) * len(best) // MOST_NUMBERS))
    ]
    return np.flatnonzero(np.concatenate(kept))


def _drawn(
    objectives: Sequence[Readings], samples: int, rng: np.random.Generator
) -> Iterator[Values]:
    """Sample the true values of each objective, (samples, n)."""
    precise = [_logarithm(each) for each in objectives]
    for number, readings in enumerate(objectives):
        others = [each for at, each in enumerate(precise) if each is not None and at != number]
        # With few designs, the coefficients would explain the errors.
        used = others if len(readings.costs) >= 10 * (1 + len(others)) else []
        covariates = np.stack([np.ones(len(readings.costs)), *used], axis=1)
        yield _posterior(readings, covariates, samples, rng)


def _logarithm(readings: Readings) -> Values | None:
    """Return the standardised logarithms of precisely known costs; None for other costs."""
    if not np.isfinite(readings.costs).all() or (readings.costs <= 0).any():
        return None
    deviation = readings.costs.std()
    if deviation == 0 or readings.errors.mean() > PRECISE * deviation:
        return None
    logarithms = np.log(readings.costs)
    found: Values = (logarithms - logarithms.mean()) / logarithms.std()
    return found


def _posterior(
    readings: Readings, covariates: Values, samples: int, rng: np.random.Generator
) -> Values:
    """Sample the true values of one objective, (samples, n)."""
    _, first, inverse = np.unique(readings.labels, return_index=True, return_inverse=True)
    costs, errors, rows = readings.costs[first], readings.errors[first], covariates[first]
    drawn = np.tile(costs, (samples, 1))
    uncertain = (errors > 0) & np.isfinite(costs)
    if uncertain.any():
        known = rows[uncertain]
        drawn[:, uncertain] = _shrunken(costs[uncertain], errors[uncertain], known, samples, rng)
    return drawn[:, inverse]


def _shrunken(
    costs: Values, errors: Values, covariates: Values, samples: int, rng: np.random.Generator
) -> Values:
    """Sample the posterior of the true values of readings with errors, (samples, n)."""
    count, width = covariates.shape
    noise = rng.standard_normal((samples, count))
    if count < 2 + width:
        # Too few for a posterior of tau.
        return costs + errors * noise
    grid = (np.ptp(costs) + errors.max()) * np.linspace(0, 2, _GRID + 1)[1:]
    precision = 1 / (errors**2 + grid[:, None] ** 2)
    # For each tau: the coefficients of the linear function with known variances.
    inner = np.einsum("gn,ni,nj->gij", precision, covariates, covariates)
    spread = np.linalg.inv(inner)
    best = np.einsum("gij,gn,nj,n->gi", spread, precision, covariates, costs)
    squares = (precision * (costs - best @ covariates.T) ** 2).sum(axis=1)
    likelihood = np.log(precision).sum(axis=1) - np.linalg.slogdet(inner)[1] - squares
    # The prior of tau, twice its logarithm.
    likelihood -= 4 * np.log(errors.mean() + grid)
    weights = np.exp((likelihood - likelihood.max()) / 2)
    chosen = rng.choice(len(grid), size=samples, p=weights / weights.sum())
    roots = np.linalg.cholesky(spread)[chosen]
    coefficients = best[chosen] + np.einsum(
        "sij,sj->si", roots, rng.standard_normal((samples, width))
    )
    prior, own = 1 / grid[chosen][:, None] ** 2, 1 / errors**2
    expected = (prior * (coefficients @ covariates.T) + own * costs) / (prior + own)
    found: Values = expected + noise / np.sqrt(prior + own)
    return found
