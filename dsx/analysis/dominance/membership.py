"""Front membership of designs, given the confidence intervals of their costs.

The true cost of a design can be any value between the ends of its interval, independently of other
designs, except that costs with equal labels are equal: designs with equal deployed networks have
the same latency. A design is certain if it is on the front for all such values, not on the front if
it is on it for none of them, and possible otherwise. Each question is decided by one assignment of
values: the best case of a design is that it has its lowest costs and all others have their highest,
and the worst case is the opposite.

A flagged interval (of unconverged or noisy readings) contains the true value with a probability of
less than 95 %. It confirms nothing: a design is certain only if it is certain for all values of the
flagged costs. It excludes a design only if it does so when widened by `FLAGGED_ERROR`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.dominance.pareto import Values, dominate, non_dominated


class Membership(StrEnum):
    """Front membership of a design, given the confidence intervals."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NO = "no"


FLAGGED_ERROR = 0.5
"""Relative error assumed for flagged values, about twice the largest that was observed (26 %)."""

_CHUNK = 1 << 22
"""Number of comparisons in one step, which limits the memory that is used."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Intervals of the costs of n designs in m objectives, all to be minimised.

    Args:
        lows: (n, m) lower ends; may be infinite, but not NaN.
        highs: (n, m) upper ends, not below the lower ends.
        labels: (n, m) integers; costs of a column with equal labels are equal, and so must be
            their intervals.
        flagged: (n, m) true for flagged intervals.
    """

    lows: Values
    highs: Values
    labels: NDArray[np.intp]
    flagged: NDArray[np.bool_]


def memberships(costs: Costs) -> list[Membership]:
    """Determine the front membership of each design.

    Args:
        costs: Costs of n designs.

    Returns:
        The membership of each of the n designs.
    """
    possible = _possible(_widened(costs))
    membership = np.full(len(costs.lows), Membership.NO, dtype=object)
    membership[possible] = Membership.CERTAIN
    for block, _, could in _could_dominate(costs, possible):
        membership[block[could.any(axis=1)]] = Membership.POSSIBLE
    found: list[Membership] = membership.tolist()
    return found


def contested_pairs(costs: Costs) -> list[tuple[int, int]]:
    """List the pairs of designs of which one could, but need not, dominate the other.

    Args:
        costs: Costs of n designs.

    Returns:
        Pairs of row numbers (contested design, design that could dominate it), each pair once, in
        order. The first design is not certainly dominated; the second is not, or only
        because of flagged values.
    """
    pairs: dict[tuple[int, int], None] = {}
    for block, others, could in _could_dominate(costs, _possible(_widened(costs))):
        for row, column in zip(*np.nonzero(could), strict=True):
            contested, contender = int(block[row]), int(others[column])
            if (contender, contested) not in pairs:
                pairs[contested, contender] = None
    return list(pairs)


def contenders(costs: Costs) -> list[int]:
    """List the designs that could dominate another design, so that its membership is uncertain.

    Args:
        costs: Costs of n designs.

    Returns:
        Row numbers in increasing order.
    """
    found = np.zeros(len(costs.lows), dtype=bool)
    for _, others, could in _could_dominate(costs, _possible(_widened(costs))):
        found[others] |= could.any(axis=0)
    rows: list[int] = np.flatnonzero(found).tolist()
    return rows


def _widened(costs: Costs) -> Costs:
    """Widen the intervals of flagged costs."""
    margin = np.where(costs.flagged, FLAGGED_ERROR, 0.0)
    size = [np.nan_to_num(np.abs(end), posinf=0.0) for end in (costs.lows, costs.highs)]
    return replace(costs, lows=costs.lows - margin * size[0], highs=costs.highs + margin * size[1])


def _unbounded(costs: Costs) -> Costs:
    """Replace the intervals of flagged costs by unbounded ones."""
    lows = np.where(costs.flagged, -np.inf, costs.lows)
    return replace(costs, lows=lows, highs=np.where(costs.flagged, np.inf, costs.highs))


def _possible(costs: Costs) -> NDArray[np.intp]:
    """Find the designs that no other design certainly dominates.

    B certainly dominates A if the upper bounds of B dominate the lower bounds of A. It suffices to
    compare A with the Pareto front of all upper bounds: each point outside of that front is
    dominated by a point on it. The upper bounds of A never dominate its own lower bounds. Designs
    that share a cost value are compared separately, because B then needs to be better only in the
    costs that they do not share.
    """
    lows, highs = costs.lows, costs.highs
    assert (lows <= highs).all(), "the lower end of an interval exceeds its upper end"
    best = highs[non_dominated(highs)]
    kept = np.ones(len(lows), dtype=bool)
    for start, block in _blocks(np.arange(len(lows)), len(best)):
        kept[start : start + len(block)] = ~dominate(best, lows[block]).any(axis=1)
    for group in _groups(costs.labels):
        for _, block in _blocks(group, len(group)):
            kept[block] &= ~_dominate(highs, lows, costs.labels, group, block).any(axis=1)
    return np.flatnonzero(kept)


def _could_dominate(
    costs: Costs, possible: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]]:
    """Compare possible designs: (rows), (others), (rows, others) true if the other could dominate.

    B could dominate A if the lowest costs of B dominate the highest costs of A. Only possible
    designs need to be considered: if B is certainly dominated, then by a possible design C
    (dominance is transitive and has no cycles). The lowest costs of C do not exceed its highest
    costs, which dominate the lowest costs of B, which dominate the highest costs of A; so C could
    dominate A. C is not A: otherwise the highest costs of A would dominate the lowest costs of B,
    and these the highest costs of A. This also holds for designs with costs in common, because
    these have the same interval.
    """
    unbounded = _unbounded(costs)
    others = _possible(unbounded)
    for _, block in _blocks(possible, len(others)):
        # A design has all costs in common with itself, so it does not dominate itself.
        could = _dominate(unbounded.lows, unbounded.highs, costs.labels, others, block)
        yield block, others, could


def _dominate(
    theirs: Values,
    ours: Values,
    labels: NDArray[np.intp],
    these: NDArray[np.intp],
    those: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Compare each pair of rows for dominance; costs with equal labels are equal.

    Returns:
        (those, these) true where the row of `these` dominates the row of `those`.
    """
    not_worse = np.ones((len(those), len(these)), dtype=bool)
    better = np.zeros_like(not_worse)
    for this, that, own in zip(theirs[these].T, ours[those].T, labels.T, strict=True):
        same = own[those][:, None] == own[these][None, :]
        not_worse &= same | (this[None, :] <= that[:, None])
        better |= ~same & (this[None, :] < that[:, None])
    return not_worse & better


def _groups(labels: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """List the groups of rows that have a cost in common."""
    for column in labels.T:
        order = np.argsort(column, kind="stable")
        starts = np.flatnonzero(np.diff(column[order])) + 1
        yield from (group for group in np.split(order, starts) if len(group) > 1)


def _blocks(rows: NDArray[np.intp], partners: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    size = max(1, _CHUNK // max(1, partners))
    yield from ((start, rows[start : start + size]) for start in range(0, len(rows), size))
