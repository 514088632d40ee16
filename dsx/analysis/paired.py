"""Paired comparison of designs by their results on the same examples.

All designs are evaluated on the same examples, so the difficulty of an example affects both designs
of a pair and cancels in the difference of their results. Two claims are made:

- *These weights*: the networks of one training each. The examples are a sample, b of which only the
  first network classifies correctly, and c only the second. Tango's score interval of the
  difference (b - c) / n excludes 0 exactly if |b - c| / sqrt(b + c) exceeds the quantile of the
  standard normal distribution. Results other than 0 and 1 have Student's interval of their mean.
- *This design*: the mean over all trainings. Let d be the differences per example between the means
  over k seeds each, v = var(d) / n, f the share of examples on which two seeds disagree, and V the
  pooled variance between seeds of the mean over the examples. Both v and V contain the variance of
  single results, f / (n k), so it is subtracted once:
  SE^2 = max(v, v - f / (n k) + 2 V / k), with Student's t and Satterthwaite's degrees of freedom.
  The claim requires an estimate of V, from at least `LEAST_REPEATED` designs with several seeds.

Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for the
paired-sample design, Statistics in Medicine 17 (1998), 891-908. F. E. Satterthwaite, An approximate
distribution of estimates of variance components, Biometrics Bulletin 2 (1946), 110-114.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dsx.analysis.examples import Numbers
from dsx.analysis.rank_correlation import half_interval

LEAST_REPEATED = 2
"""Smallest number of designs with several seeds from which the variance between seeds is known."""
_CONFIDENCE = 0.975
_HALVINGS = 40
"""Number of halvings of an interval of length 2, which leave less than 1e-11."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Differences between the values of n designs and those of m designs, with 95 % intervals.

    Args:
        value: (n, m) differences.
        low: (n, m) lower ends.
        high: (n, m) upper ends.
    """

    value: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """Differences between trainings with different seeds, pooled over the designs of a study.

    Args:
        variance: Variance between seeds of the mean over the examples.
        flips: Twice the variance between seeds of the result of an example: for results that are
            0 or 1, the share of examples on which two seeds disagree.
        freedom: Number of degrees of freedom of the variance.
    """

    variance: float
    flips: float
    freedom: int

    @classmethod
    def of(cls, designs: Iterable[Numbers]) -> "SeedNoise | None":
        """Pool the results of repeated designs.

        Args:
            designs: (k, n) results of each design: k seeds, n examples.

        Returns:
            The noise; None if fewer than `LEAST_REPEATED` designs have several seeds.
        """
        repeated = [results for results in designs if len(results) > 1]
        if len(repeated) < LEAST_REPEATED:
            return None
        weights = [len(results) - 1 for results in repeated]

        def pooled(values: Sequence[float]) -> float:
            return float(np.average(values, weights=weights))

        return cls(
            variance=pooled([results.mean(axis=1).var(ddof=1) for results in repeated]),
            flips=pooled([2 * results.var(axis=0, ddof=1).mean() for results in repeated]),
            freedom=sum(weights),
        )


def compare_weights(these: Numbers, those: Numbers) -> Differences:
    """Compare networks of one training each.

    Args:
        these: (n, e) results of n networks on e examples.
        those: (m, e) results of m networks.

    Returns:
        The differences for these weights.
    """
    count = these.shape[1]
    if np.isin(these, (0, 1)).all() and np.isin(those, (0, 1)).all():
        return tango(these @ (1 - those).T, (1 - these) @ those.T, count)
    value, square = _moments(these, those)
    return _student(value, square / count, np.full_like(value, count - 1))


def compare_designs(
    these: Sequence[Numbers], those: Sequence[Numbers], noise: SeedNoise
) -> Differences:
    """Compare designs, each by the mean over its trainings.

    Args:
        these: (k, e) results of each of n designs: k seeds, e examples.
        those: (k, e) results of each of m designs.
        noise: Differences between trainings.

    Returns:
        The differences for these designs.
    """
    count = these[0].shape[1]
    means = [np.stack([results.mean(axis=0) for results in side]) for side in (these, those)]
    shares = [np.array([1 / len(results) for results in side]) for side in (these, those)]
    # 2 / k for equal numbers k of seeds.
    inverse = shares[0][:, None] + shares[1][None, :]
    value, square = _moments(*means)
    # Of identical results the variance is unknown: one example may differ on the next sample.
    sampled = np.maximum(square, inverse / (2 * count)) / count
    between = noise.variance * inverse
    total = sampled - noise.flips * inverse / (2 * count) + between
    freedom = total**2 / (sampled**2 / (count - 1) + between**2 / noise.freedom)
    is_larger = total > sampled
    return _student(
        value, np.where(is_larger, total, sampled), np.where(is_larger, freedom, count - 1)
    )


def own_errors(results: Sequence[Numbers], noise: SeedNoise | None) -> Numbers:
    """Estimate the part of the error of each design that does not affect all designs equally.

    The effect of the examples on all designs is removed as in a two-way analysis of variance, so
    the squares of the errors of two designs add up to that of their difference.

    Args:
        results: (k, e) results of each of n designs, n >= 2: k seeds, e examples.
        noise: Differences between trainings; None to regard the weights of the first training only.

    Returns:
        (n,) standard errors of the means.
    """
    means = np.stack([each[0] if noise is None else each.mean(axis=0) for each in results])
    designs, count = means.shape
    residuals = means - means.mean(axis=0) - means.mean(axis=1)[:, None] + means.mean()
    square = (residuals**2).sum(axis=1) / (count - 1) * designs / (designs - 1)
    seeds = np.array([1 if noise is None else len(each) for each in results])
    square = np.maximum(square, 1 / (2 * count * seeds)) / count
    if noise is not None:
        square = square + np.maximum(0, noise.variance - noise.flips / (2 * count)) / seeds
    found: Numbers = np.sqrt(square)
    return found


def _moments(these: Numbers, those: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean and the variance over the examples of the difference of each pair."""
    count = these.shape[1]
    value = these.mean(axis=1)[:, None] - those.mean(axis=1)[None, :]
    squares = (these**2).sum(axis=1)[:, None] + (those**2).sum(axis=1)[None, :]
    squares = squares - 2 * these @ those.T
    return value, np.maximum(squares - count * value**2, 0) / max(count - 1, 1)


def _student(value: Numbers, square: Numbers, freedom: Numbers) -> Differences:
    """Return differences with Student's intervals, given the squares of their standard errors."""
    # Imported here, because the import takes a tenth of a second.
    from scipy.special import stdtrit

    half = stdtrit(np.maximum(freedom, 1), _CONFIDENCE) * np.sqrt(square)
    return Differences(value=value, low=value - half, high=value + half)


def tango(more: Numbers, less: Numbers, count: int) -> Differences:
    """Compute Tango's score interval of the difference of two paired proportions.

    Args:
        more: Number of examples on which only the first is right; integers of any shape.
        less: Number of examples on which only the second is right, in the same shape.
        count: Number of examples.

    Returns:
        The differences (more - less) / count.

    Source:
        Tango 1998, eq. 13 and 14.
    """
    # Few pairs of numbers are different.
    numbers = np.stack([more.ravel(), less.ravel()], axis=1)
    distinct, inverse = np.unique(numbers, axis=0, return_inverse=True)
    value = (distinct[:, 0] - distinct[:, 1]) / count
    ends = [_invert(distinct, count, half_interval(), value, bound) for bound in (-1.0, 1.0)]
    shape = more.shape
    found = [each[inverse.ravel()].reshape(shape) for each in (value, *ends)]
    return Differences(value=found[0], low=found[1], high=found[2])


def _invert(numbers: Numbers, count: int, most: float, value: Numbers, bound: float) -> Numbers:
    """Find the difference at which the absolute score reaches a value, by bisection."""
    inner, outer = value, np.full_like(value, bound)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        # The score is 0 at the observed difference and decreases with the difference.
        within = np.abs(score(numbers[:, 0], numbers[:, 1], count, middle)) < most
        inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
    return (inner + outer) / 2


def score(more: Numbers, less: Numbers, count: int, difference: Numbers) -> Numbers:
    """Compute Tango's score statistic.

    Args:
        more: Number of examples on which only the first is right.
        less: Number of examples on which only the second is right.
        count: Number of examples.
        difference: Difference of the proportions under the hypothesis, -1..1.

    Returns:
        The statistic, whose distribution is approximately standard normal under the hypothesis.

    Source:
        Tango 1998, eq. 13 and 14.
    """
    linear = -more - less + (2 * count - more + less) * difference
    constant = -less * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8 * count * constant, 0))
    expected = (root - linear) / (4 * count)
    variance = count * (2 * expected + difference * (1 - difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Numbers = (more - less - count * difference) / np.sqrt(variance)
    return np.nan_to_num(found, nan=0.0)
