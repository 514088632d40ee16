"""Pareto dominance and hypervolume.

All costs are to be minimised. They may be infinite, but not NaN.
"""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def non_dominated(values: Values) -> NDArray[np.bool_]:
    """Find the points that no other point dominates.

    A point dominates another if it is not worse in any objective and better in at least one; equal
    points do not dominate each other.

    Args:
        values: (n, m) costs to be minimised; may be infinite, but not NaN.

    Returns:
        (n,) true for the points of the front.

    Source:
        Kung, Luccio, Preparata 1975, in moocore (n log n for m <= 3).
    """
    # moocore 0.3.2 is wrong on +inf and crashes on -inf. Dominance depends on ranks only.
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    if not len(values):
        return np.zeros(0, dtype=bool)
    ranks = [np.unique(column, return_inverse=True)[1].astype(float) for column in values.T]
    front: NDArray[np.bool_] = moocore.is_nondominated(np.stack(ranks, axis=1), keep_weakly=True)
    return front


def dominate(these: Values, those: Values) -> NDArray[np.bool_]:
    """Compare each pair of two sets of points for dominance.

    Args:
        these: (k, m) costs to be minimised.
        those: (n, m) costs to be minimised.

    Returns:
        (n, k) true where the point of `these` dominates the point of `those`.
    """
    not_worse = np.ones((len(those), len(these)), dtype=bool)
    better = np.zeros_like(not_worse)
    for this, that in zip(these.T, those.T, strict=True):
        not_worse &= this[None, :] <= that[:, None]
        better |= this[None, :] < that[:, None]
    return not_worse & better


def hypervolume(values: Values, reference: Values) -> float:
    """Compute the hypervolume between a set of points and a reference point.

    Args:
        values: (n, m) costs to be minimised; may be infinite, but not NaN. Points that are not
            better than the reference point in every objective are ignored.
        reference: (m,) finite costs of the reference point.

    Returns:
        The exact hypervolume; infinite if a point has a cost of minus infinity.
    """
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    assert np.isfinite(reference).all(), "the reference point must be finite"
    # moocore ignores infinite points silently, so they are handled here.
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if np.isinf(inside).any():
        return math.inf
    return float(moocore.hypervolume(inside, ref=reference))


def to_ideal(costs: Values) -> Values:
    """Compute the distance of each point from the ideal point, each objective scaled to 0..1.

    Args:
        costs: (n, m) costs to be minimised; may be infinite, but not NaN.

    Returns:
        (n,) distances; an objective in which all finite values are equal contributes 0.
    """
    squares = np.zeros(len(costs))
    for column in costs.T:
        finite = column[np.isfinite(column)]
        if finite.size:
            span = np.ptp(finite) or 1.0
            squares += np.maximum((column - finite.min()) / span, 0.0) ** 2
    return np.sqrt(squares)
