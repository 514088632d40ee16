"""Front membership of designs: their probability, and the pairs of designs that are undecided.

Two designs are compared by the differences of their costs, not by intervals of the costs
themselves: the accuracies of both are measured on the same images, and equal deployed networks have
the same latency. The interval of a difference with a flagged value (of unconverged or noisy
readings) is unbounded, so flagged values decide nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.differences import Objective, Rows
from dsx.analysis.dominance.pareto import Values

CERTAIN, POSSIBLE = 0.95, 0.05
"""Smallest probabilities of being on the front of certain and of possible members."""
Bounds = Callable[[Objective, Rows, Rows], tuple[Values, Values]]
"""Function that bounds the differences of two sets of designs in an objective."""
_Block = tuple[Rows, NDArray[np.bool_], NDArray[np.bool_]]
_CHUNK = 1 << 20
"""Number of comparisons in one step, which limits the memory that is used."""


class Membership(StrEnum):
    """Front membership of a design by its probability."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NO = "no"


def membership_of(probability: float, observed: bool, flagged: bool) -> Membership:
    """Determine the front membership of a design.

    Args:
        probability: Probability that the design is on the front.
        observed: Whether the design is on the front of the estimated values.
        flagged: Whether this depends on a flagged value.

    Returns:
        The membership; a design of the observed front is possible at least.
    """
    if probability >= CERTAIN and not flagged:
        return Membership.CERTAIN
    return Membership.POSSIBLE if probability >= POSSIBLE or observed else Membership.NO


def depend_on_flags(objectives: Sequence[Objective], rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Find the designs that only a flagged value keeps from being dominated.

    Args:
        objectives: Values of n designs in each objective.
        rows: (m,) row numbers of the designs.
        others: Row numbers of the designs that could dominate them.

    Returns:
        (m,) whether another design could dominate the design if flagged values were arbitrary, but
        not if they are as accurate as other values.
    """
    if not any(each.flagged.any() for each in objectives):
        return np.zeros(len(rows), dtype=bool)
    blocks = zip(
        _dominance(objectives, rows, others, Objective.bounds),
        _dominance(objectives, rows, others, Objective.unflagged_bounds),
        strict=True,
    )
    return np.concatenate(
        [(arbitrary & ~could).any(axis=1) for (_, arbitrary, _), (_, could, _) in blocks]
    )


def contested_pairs(
    objectives: Sequence[Objective], rows: Rows, others: Rows
) -> list[tuple[int, int]]:
    """List the pairs of designs of which one could, but need not, dominate the other.

    Args:
        objectives: Values of n designs in each objective.
        rows: Row numbers of the designs.
        others: Row numbers of the designs that could dominate them.

    Returns:
        Pairs of row numbers (contested design, design that could dominate it), each pair once, in
        order.
    """
    pairs: dict[tuple[int, int], None] = {}
    for block, could, certain in _dominance(objectives, rows, others, Objective.bounds):
        for one, other in zip(*np.nonzero(could & ~certain), strict=True):
            contested, contender = int(block[one]), int(others[other])
            if (contender, contested) not in pairs:
                pairs[contested, contender] = None
    return list(pairs)


def _dominance(
    objectives: Sequence[Objective], rows: Rows, others: Rows, bounds: Bounds
) -> Iterator[_Block]:
    """Yield blocks of designs, and which others could and certainly dominate them."""
    size = max(1, _CHUNK // max(1, len(others)))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        could = certain = np.ones((len(block), len(others)), dtype=bool)
        better_perhaps = better = np.zeros_like(could)
        for objective in objectives:
            low, high = bounds(objective, others, block)
            could, certain = could & (low <= 0).T, certain & (high <= 0).T
            better_perhaps, better = better_perhaps | (low < 0).T, better | (high < 0).T
        yield block, could & better_perhaps, certain & better
