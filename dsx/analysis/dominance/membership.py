"""Front membership of designs: their probability, and the pairs of designs that are undecided.

Two designs are compared by the differences of their costs, not by intervals of the costs
themselves: the accuracies of both are measured on the same images, and equal deployed networks have
the same latency. The interval of a difference with a flagged value (of unconverged or noisy
readings) is unbounded, so flagged values decide nothing.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.differences import Objective, Rows

CERTAIN, POSSIBLE = 0.95, 0.05
"""Smallest probabilities of being on the front of certain and of possible members."""
_CHUNK = 1 << 20
"""Number of comparisons in one step, which limits the memory that is used."""


class Membership(StrEnum):
    """Front membership of a design by its probability."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NO = "no"


def membership_of(probability: float, observed: bool) -> Membership:
    """Determine the front membership of a design.

    Args:
        probability: Probability that the design is on the front.
        observed: Whether the design is on the front of the estimated values.

    Returns:
        The membership; a design of the observed front is possible at least.
    """
    if probability >= CERTAIN:
        return Membership.CERTAIN
    return Membership.POSSIBLE if probability >= POSSIBLE or observed else Membership.NO


def contested_pairs(objectives: Sequence[Objective], rows: Rows) -> list[tuple[int, int]]:
    """List the pairs of designs of which one could, but need not, dominate the other.

    Args:
        objectives: Values of n designs in each objective.
        rows: Row numbers of the designs to compare.

    Returns:
        Pairs of row numbers (contested design, design that could dominate it), each pair once, in
        order.
    """
    pairs: dict[tuple[int, int], None] = {}
    for block, could in _contested(objectives, rows):
        for one, other in zip(*np.nonzero(could), strict=True):
            contested, contender = int(block[one]), int(rows[other])
            if (contender, contested) not in pairs:
                pairs[contested, contender] = None
    return list(pairs)


def _contested(
    objectives: Sequence[Objective], rows: Rows
) -> Iterator[tuple[Rows, NDArray[np.bool_]]]:
    """Yield blocks of designs and, (block, rows), which others could but need not dominate them."""
    size = max(1, _CHUNK // max(1, len(rows)))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        could = certain = np.ones((len(block), len(rows)), dtype=bool)
        better_perhaps = better = np.zeros_like(could)
        for objective in objectives:
            low, high = objective.bounds(rows, block)
            could, certain = could & (low <= 0).T, certain & (high <= 0).T
            better_perhaps, better = better_perhaps | (low < 0).T, better | (high < 0).T
        yield block, (could & better_perhaps) & ~(certain & better)
