"""Expected improvement of the hypervolume, by which the next design is selected."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from dsx.analysis import hypervolume, non_dominated
from dsx.search.screening.regression import Normal
from dsx.search.screening.scales import Scale
from dsx.search.screening.tables import Values

NODES = 32
"""Number of common random numbers per uncertain objective beyond the first."""


@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """The predicted values of one objective.

    Args:
        scale: Scale on which the values are normally distributed.
        predicted: Distributions of the values of n designs on this scale.
    """

    scale: Scale
    predicted: Normal


def expected_improvements(
    costs: Values, uncertain: Mapping[int, Uncertain], front: Values, reference: Values
) -> Values:
    """Compute by how much each of several designs is expected to increase the hypervolume.

    With fixed values of all other objectives, the increase is a piecewise linear function of one
    uncertain objective, so that its expectation is a sum over the points of the front in closed
    form. Further uncertain objectives are averaged over common random numbers.

    Args:
        costs: (n, m) predicted costs of the designs.
        uncertain: Predictions of the uncertain objectives by column of `costs`.
        front: (k, m) costs of the current front.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) expected increases of the hypervolume.
    """
    inside = front[(front < reference).all(axis=1)]
    inside = inside[non_dominated(inside)]
    if not uncertain:
        return added_volumes(costs, inside, reference)
    first, *others = uncertain
    total = np.zeros(len(costs))
    count = 0
    for nodes in _nodes(len(others)):
        moved = costs.copy()
        for column, node in zip(others, nodes, strict=True):
            own = uncertain[column]
            moved[:, column] = own.scale.back(own.predicted.mean + node * own.predicted.deviation)
        total += _over_one(moved, first, uncertain[first], inside, reference)
        count += 1
    found: Values = total / count
    return found


def _nodes(count: int) -> Iterator[Sequence[float]]:
    """Return common random numbers of several standard normal distributions."""
    if not count:
        yield ()
        return
    # The first point of an unscrambled Sobol sequence is 0, whose quantile is infinite.
    points = qmc.Sobol(count, scramble=True, rng=0).random(NODES)
    yield from ndtri(points).tolist()


def _over_one(
    costs: Values, column: int, uncertain: Uncertain, front: Values, reference: Values
) -> Values:
    """Compute the expected increases over one uncertain objective, (n,).

    Between two neighbouring values t of this objective on the front, a better value of a design
    adds the hypervolume, in the other objectives, that the design adds to the points of the front
    whose value is at most t.
    """
    rest = [each for each in range(costs.shape[1]) if each != column]
    ordered = front[np.argsort(front[:, column], kind="stable")]
    ends = [*ordered[:, column].tolist(), float(reference[column])]
    total = np.zeros(len(costs))
    below = np.zeros(len(costs))
    possible = np.flatnonzero((costs[:, rest] < reference[rest]).all(axis=1))
    for number, end in enumerate(ends):
        shortfall = uncertain.scale.shortfall(uncertain.predicted, end)
        gained = shortfall - below
        below = shortfall
        rows = possible[gained[possible] > 0]
        added = added_volumes(costs[rows][:, rest], ordered[:number][:, rest], reference[rest])
        total[rows] += gained[rows] * added
    return total


def added_volumes(costs: Values, front: Values, reference: Values) -> Values:
    """Compute by how much each of several points increases the hypervolume of a front.

    Args:
        costs: (n, m) costs of the points, one of which is added at a time.
        front: (k, m) costs of the front.
        reference: (m,) costs of the reference point.

    Returns:
        (n,) increases. Without dimensions, the hypervolume is 1 if there is a point.
    """
    dimensions = costs.shape[1]
    if dimensions == 0:
        return np.full(len(costs), float(not len(front)))
    if dimensions == 1:
        best = front.min(initial=float(reference[0]))
        gained: Values = np.maximum(best - costs[:, 0], 0.0)
        return gained
    if dimensions == 2:
        return _added_areas(costs, front, reference)
    before = hypervolume(front, reference)
    after = [hypervolume(np.vstack([front, point]), reference) for point in costs]
    return np.array(after, dtype=float) - before


def _added_areas(costs: Values, front: Values, reference: Values) -> Values:
    """Compute the increases in two dimensions: a sum over the steps of the front."""
    ordered = front[np.argsort(front[:, 0], kind="stable")]
    starts = np.array([-np.inf, *ordered[:, 0]])
    ends = np.minimum([*ordered[:, 0], np.inf], reference[0])
    heights = np.minimum.accumulate([reference[1], *ordered[:, 1]])
    widths = np.maximum(ends - np.maximum(starts, costs[:, :1]), 0.0)
    found: Values = (widths * np.maximum(heights - costs[:, 1:], 0.0)).sum(axis=1)
    return found
