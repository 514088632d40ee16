"""Hints: values that tell something about an objective before, or in addition to, its reading.

The training loss of the first epoch, for example, agrees better with the accuracy on new images
than the accuracy on a small validation split does. A hint is converted into a second reading of the
objective by a straight line, whose residuals tell how much that reading is worth.

Source: B. Ru et al., Speedy performance estimation for neural architecture search, arXiv
2006.04492 (training losses as estimates of the final accuracy).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dsx.analysis import tau
from dsx.search.screening.tables import Values

FEWEST = 8
"""Smallest number of designs from which the relation of a hint is estimated."""
LEAST_TAU = 0.2
"""Smallest rank correlation with the readings at which a hint is used."""
LEAST_SHARE = 0.1
"""Smallest variance of a converted hint, relative to that of the readings."""


class Readings(NamedTuple):
    """Readings of one objective on the scale of its model.

    Attributes:
        values: (n,) readings; NaN for a design without a reading.
        variances: (n,) known variances; infinite for a design without a reading.
    """

    values: Values
    variances: Values


def with_hints(readings: Readings, hints: Mapping[str, Values]) -> Readings:
    """Combine readings with hints, weighted by their precision.

    Args:
        readings: Readings of n designs.
        hints: (n,) values of each hint by name; NaN where unknown.

    Returns:
        The combined readings; unchanged where no hint is known or none is useful.
    """
    weights = 1 / np.maximum(readings.variances, 1e-12)
    weights[np.isnan(readings.values)] = 0.0
    total = np.where(weights > 0, weights * readings.values, 0.0)
    for values in hints.values():
        converted = _converted(readings, values)
        if converted is None:
            continue
        known = ~np.isnan(converted.values)
        own = np.where(known, 1 / converted.variances, 0.0)
        total += np.where(known, own * converted.values, 0.0)
        weights += own
    usable = weights > 0
    return Readings(
        np.divide(total, weights, out=np.full(len(total), np.nan), where=usable),
        np.divide(1.0, weights, out=np.full(len(total), np.inf), where=usable),
    )


def _converted(readings: Readings, hint: Values) -> Readings | None:
    """Convert a hint into readings of the objective; None if it is not related to it."""
    both = ~np.isnan(readings.values) & ~np.isnan(hint)
    x, y = hint[both], readings.values[both]
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0 or abs(tau(x, y)) < LEAST_TAU:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    residual = float(((y - intercept - slope * x) ** 2).sum() / (len(x) - 2))
    # A part of the residuals is the error of the readings, not of the hint.
    own = residual - float(readings.variances[both].mean())
    variance = max(own, LEAST_SHARE * float(y.var()))
    return Readings(intercept + slope * hint, np.full(len(hint), variance))
