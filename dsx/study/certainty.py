"""Certainty: what intervals leave open about a front.

The truth of a design may lie anywhere between its lows and its highs, independently of the others.
A design is on the front for certain if it is on the front of every such truth, and not at all if it
is on the front of none; anything else is perhaps. One truth decides each question, since a design
does best where it is at its lows and all others are at their highs, and worst the other way about.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsx.study.dominance import Values, dominate, non_dominated

Certainty = Literal["certain", "perhaps", "no"]

_CHUNK = 1 << 22
"""Comparisons made at once, which bounds the memory they take."""


def certainties(lows: Values, highs: Values) -> list[Certainty]:
    """Say for each design how certainly it is on the front.

    Args:
        lows: (n, m) lower ends of the costs to be minimised; may be infinite, not NaN.
        highs: (n, m) upper ends, nowhere below the lower ones.

    Returns:
        n words.
    """
    possible = _possible(lows, highs)
    words = np.full(len(lows), "no", dtype=object)
    words[possible] = "certain"
    for block, doubts in _doubts(lows, highs, possible):
        words[block[doubts.any(axis=1)]] = "perhaps"
    found: list[Certainty] = words.tolist()
    return found


def contested_pairs(lows: Values, highs: Values) -> list[tuple[int, int]]:
    """List the pairs of designs of which one could dominate the other, but does not surely.

    Args:
        lows: (n, m) lower ends of the costs to be minimised; may be infinite, not NaN.
        highs: (n, m) upper ends, nowhere below the lower ones.

    Returns:
        Pairs of row numbers (the one in doubt, the one that could dominate it), each pair once, in
        order; none with a design that is surely dominated.
    """
    possible = _possible(lows, highs)
    pairs: dict[tuple[int, int], None] = {}
    for block, doubts in _doubts(lows, highs, possible):
        for row, column in zip(*np.nonzero(doubts), strict=True):
            doubted, doubter = int(block[row]), int(possible[column])
            if (doubter, doubted) not in pairs:
                pairs[doubted, doubter] = None
    return list(pairs)


def _possible(lows: Values, highs: Values) -> NDArray[np.intp]:
    """Find the designs that no other surely dominates.

    B surely dominates A where B's highs dominate A's lows. Whatever dominates those lows, a point
    of the front of all highs does so too: it is nowhere worse. A's own highs dominate nothing of A.
    """
    assert (lows <= highs).all(), "an interval that ends before it begins"
    best = highs[non_dominated(highs)]
    kept = np.ones(len(lows), dtype=bool)
    for start, block in _blocks(np.arange(len(lows)), len(best)):
        kept[start : start + len(block)] = ~dominate(best, lows[block]).any(axis=1)
    return np.flatnonzero(kept)


def _doubts(
    lows: Values, highs: Values, possible: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Compare the possible designs: (rows), (rows, possible) whether this could dominate that.

    B could dominate A where B's lows dominate A's highs. Only possible designs need be asked: if B
    is surely dominated, then by a possible C (dominance is transitive and never a circle). C's
    lows are nowhere above C's highs, those dominate B's lows, and these dominate A's highs; so C
    could dominate A. And C is not A: A's highs would dominate B's lows, and these A's highs.
    """
    for _, block in _blocks(possible, len(possible)):
        # A design's own lows dominate its highs, which says nothing.
        own = block[:, None] == possible[None, :]
        yield block, dominate(lows[possible], highs[block]) & ~own


def _blocks(rows: NDArray[np.intp], partners: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    size = max(1, _CHUNK // max(1, partners))
    yield from ((start, rows[start : start + size]) for start in range(0, len(rows), size))
