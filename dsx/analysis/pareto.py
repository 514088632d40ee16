"""Dominance: which points no other point beats, and what a set of points is worth.

All costs are to be minimised. They may be infinite, not NaN.
"""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def non_dominated(values: Values) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better; equal points do not
    dominate each other.

    Args:
        values: (n, m) costs to be minimised; may be infinite, not NaN.

    Returns:
        (n,) true where the point is on the front.

    Source:
        Kung, Luccio, Preparata 1975, in moocore (n log n for m <= 3).
    """
    # moocore misjudges +inf and crashes on -inf (0.3.2). Dominance only asks for the order.
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    if not len(values):
        return np.zeros(0, dtype=bool)
    ranks = [np.unique(column, return_inverse=True)[1].astype(float) for column in values.T]
    front: NDArray[np.bool_] = moocore.is_nondominated(np.stack(ranks, axis=1), keep_weakly=True)
    return front


def dominate(these: Values, those: Values) -> NDArray[np.bool_]:
    """Say which points dominate which others.

    Args:
        these: (k, m) costs to be minimised.
        those: (n, m) costs.

    Returns:
        (n, k) true where this one of these dominates that one of those.
    """
    nowhere_worse = np.ones((len(those), len(these)), dtype=bool)
    somewhere_better = np.zeros_like(nowhere_worse)
    for this, that in zip(these.T, those.T, strict=True):
        nowhere_worse &= this[None, :] <= that[:, None]
        somewhere_better |= this[None, :] < that[:, None]
    return nowhere_worse & somewhere_better


def hypervolume(values: Values, reference: Values) -> float:
    """Measure the volume between a set of points and a reference point.

    Args:
        values: (n, m) costs to be minimised; may be infinite, not NaN. Points that are not better
            than the reference in every objective add nothing.
        reference: (m,) finite costs.

    Returns:
        The volume of what the points dominate and the reference does not, exact; infinite if a
        point that counts is infinitely good.
    """
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    assert np.isfinite(reference).all(), "the reference has to be finite"
    # moocore drops infinite points silently, so they are judged here.
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if np.isinf(inside).any():
        return math.inf
    return float(moocore.hypervolume(inside, ref=reference))


def to_ideal(costs: Values) -> Values:
    """Measure how far each point is from the best of all, every objective scaled to 0..1.

    Args:
        costs: (n, m) costs to be minimised; may be infinite, not NaN.

    Returns:
        (n,) distances; an objective in which all finite values are equal counts 0.
    """
    squares = np.zeros(len(costs))
    for column in costs.T:
        finite = column[np.isfinite(column)]
        if finite.size:
            span = np.ptp(finite) or 1.0
            squares += np.maximum((column - finite.min()) / span, 0.0) ** 2
    return np.sqrt(squares)
