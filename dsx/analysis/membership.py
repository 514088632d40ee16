"""Certainty: what intervals leave open about a front.

The true costs of a design can take any value between its lows and its highs, independently of the
other designs, except that costs with the same label are equal: designs with equal deployed networks
have one latency. A design is certain if it is on the front for all such values, "no" if it is on
the front for none of them, and "perhaps" otherwise. One set of values decides each question: a
design does best where it is at its lows and all others are at their highs, and worst in the
opposite case.

A flagged interval (of unconverged or noisy readings) holds the true value with less than 95 %
probability. It confirms nothing: a design is certain only if it is certain for all values of the
flagged costs. It excludes a design only if it does so when widened by `FLAGGED_ERROR`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dsx.analysis.pareto import Values, dominate, non_dominated


class Membership(StrEnum):
    """Front membership of a design, given the confidence intervals."""

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NO = "no"


FLAGGED_ERROR = 0.5
"""Relative error that is allowed for in a flagged number, about twice the largest that was seen
(26 %); see docs/measuring.md."""

_CHUNK = 1 << 22
"""Comparisons made at once, which bounds the memory they take."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Intervals of the costs of n designs in m objectives, all to be minimised.

    Args:
        lows: (n, m) lower ends; may be infinite, not NaN.
        highs: (n, m) upper ends, nowhere below the lower ones.
        labels: (n, m) integers; costs of a column with equal labels are equal, so their intervals
            must be equal too.
        flagged: (n, m) true where the interval cannot be trusted.
    """

    lows: Values
    highs: Values
    labels: NDArray[np.intp]
    flagged: NDArray[np.bool_]


def certainties(costs: Costs) -> list[Membership]:
    """Return for each design how certainly it is on the front.

    Args:
        costs: The costs of n designs.

    Returns:
        n words.
    """
    possible = _possible(_widened(costs))
    membership = np.full(len(costs.lows), Membership.NO, dtype=object)
    membership[possible] = Membership.CERTAIN
    for block, _, doubts in _doubts(costs, possible):
        membership[block[doubts.any(axis=1)]] = Membership.POSSIBLE
    found: list[Membership] = membership.tolist()
    return found


def contested_pairs(costs: Costs) -> list[tuple[int, int]]:
    """List the pairs of designs of which one could dominate the other, but does not surely.

    Args:
        costs: The costs of n designs.

    Returns:
        Pairs of row numbers (the one in doubt, the one that could dominate it), each pair once, in
        order. The first is not surely dominated; the second neither, or only as far as flagged
        numbers say.
    """
    pairs: dict[tuple[int, int], None] = {}
    for block, doubters, doubts in _doubts(costs, _possible(_widened(costs))):
        for row, column in zip(*np.nonzero(doubts), strict=True):
            doubted, doubter = int(block[row]), int(doubters[column])
            if (doubter, doubted) not in pairs:
                pairs[doubted, doubter] = None
    return list(pairs)


def doubters(costs: Costs) -> list[int]:
    """List the designs that keep another one from being certain: the second of a contested pair.

    Args:
        costs: The costs of n designs.

    Returns:
        Row numbers, in order.
    """
    found = np.zeros(len(costs.lows), dtype=bool)
    for _, others, doubts in _doubts(costs, _possible(_widened(costs))):
        found[others] |= doubts.any(axis=0)
    rows: list[int] = np.flatnonzero(found).tolist()
    return rows


def _widened(costs: Costs) -> Costs:
    """Allow for a larger error of the flagged numbers."""
    room = np.where(costs.flagged, FLAGGED_ERROR, 0.0)
    size = [np.nan_to_num(np.abs(end), posinf=0.0) for end in (costs.lows, costs.highs)]
    return replace(costs, lows=costs.lows - room * size[0], highs=costs.highs + room * size[1])


def _unbounded(costs: Costs) -> Costs:
    """Allow for any value of the flagged numbers."""
    lows = np.where(costs.flagged, -np.inf, costs.lows)
    return replace(costs, lows=lows, highs=np.where(costs.flagged, np.inf, costs.highs))


def _possible(costs: Costs) -> NDArray[np.intp]:
    """Find the designs that no other surely dominates.

    B surely dominates A where B's highs dominate A's lows. Whatever dominates those lows, a point
    of the front of all highs does so too: it is nowhere worse. A's own highs dominate nothing of A.
    Between designs with a number in common B needs less, so they are compared once more.
    """
    lows, highs = costs.lows, costs.highs
    assert (lows <= highs).all(), "an interval that ends before it begins"
    best = highs[non_dominated(highs)]
    kept = np.ones(len(lows), dtype=bool)
    for start, block in _blocks(np.arange(len(lows)), len(best)):
        kept[start : start + len(block)] = ~dominate(best, lows[block]).any(axis=1)
    for group in _groups(costs.labels):
        for _, block in _blocks(group, len(group)):
            kept[block] &= ~_dominate(highs, lows, costs.labels, group, block).any(axis=1)
    return np.flatnonzero(kept)


def _doubts(
    costs: Costs, possible: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]]:
    """Compare the possible designs: (rows), (others), (rows, others) whether this could dominate.

    B could dominate A where B's lows dominate A's highs. Only possible designs need be asked: if B
    is surely dominated, then by a possible C (dominance is transitive and never a circle). C's
    lows are nowhere above C's highs, those dominate B's lows, and these dominate A's highs; so C
    could dominate A. And C is not A: A's highs would dominate B's lows, and these A's highs. This
    holds with numbers in common too, since these have one interval.
    """
    open_costs = _unbounded(costs)
    doubters = _possible(open_costs)
    for _, block in _blocks(possible, len(doubters)):
        # A design has all numbers in common with itself, so it does not dominate itself.
        doubts = _dominate(open_costs.lows, open_costs.highs, costs.labels, doubters, block)
        yield block, doubters, doubts


def _dominate(
    theirs: Values,
    ours: Values,
    labels: NDArray[np.intp],
    these: NDArray[np.intp],
    those: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Compute which of these rows dominate which of those; equal labels are a tie.

    Returns:
        (those, these) true where this one dominates that one.
    """
    nowhere_worse = np.ones((len(those), len(these)), dtype=bool)
    somewhere_better = np.zeros_like(nowhere_worse)
    for this, that, own in zip(theirs[these].T, ours[those].T, labels.T, strict=True):
        same = own[those][:, None] == own[these][None, :]
        nowhere_worse &= same | (this[None, :] <= that[:, None])
        somewhere_better |= ~same & (this[None, :] < that[:, None])
    return nowhere_worse & somewhere_better


def _groups(labels: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """List the rows that have a number in common, one group for each such number."""
    for column in labels.T:
        order = np.argsort(column, kind="stable")
        starts = np.flatnonzero(np.diff(column[order])) + 1
        yield from (group for group in np.split(order, starts) if len(group) > 1)


def _blocks(rows: NDArray[np.intp], partners: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    size = max(1, _CHUNK // max(1, partners))
    yield from ((start, rows[start : start + size]) for start in range(0, len(rows), size))
