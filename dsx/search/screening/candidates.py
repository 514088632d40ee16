"""Candidates: thousands of designs that are compared by models, at no cost."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dsx.search.screening.tables import Rows, Tables, Values

FRESH = 3000
"""Number of random designs, and of mutations, in each generation."""
KEPT = 500
"""Number of candidates that a generation keeps at random."""
GENERATIONS = 3
CROSSED = 0.5
"""Share of mutations that also take slots of another parent."""
MUTATED_SLOTS = 1.3
"""Mean number of slots that a mutation changes."""

Select = Callable[[Rows], NDArray[np.bool_]]
"""Function from (n, slots) designs to which of them are selected, (n,)."""


def mutations(tables: Tables, parents: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Recombine and mutate designs.

    Args:
        tables: Tables of the search space.
        parents: (n, slots) designs, at least one.
        count: Number of mutations.
        rng: Source of randomness.

    Returns:
        (count, slots) designs.
    """
    slots = parents.shape[1]
    rows = parents[rng.integers(len(parents), size=count)]
    others = parents[rng.integers(len(parents), size=count)]
    crossed = (rng.random(count) < CROSSED)[:, None] & (rng.random((count, slots)) < 0.5)
    mutated = rng.random((count, slots)) < MUTATED_SLOTS / slots
    return np.where(mutated, tables.random(count, rng), np.where(crossed, others, rows))


def generate(
    tables: Tables, front: Rows, feasible: Select, best: Select, rng: np.random.Generator
) -> Rows:
    """Generate candidates, and breed those of which the models expect most.

    Args:
        tables: Tables of the search space.
        front: (n, slots) designs of the current front; may be empty.
        feasible: Function that returns which designs are expected to meet the constraints.
        best: Function that returns which designs are predicted to be on the front of all.
        rng: Source of randomness.

    Returns:
        (k, slots) different designs that are expected to meet the constraints.
    """
    found = _distinct([tables.random(FRESH, rng), *_bred(tables, front, rng)], feasible)
    for _ in range(GENERATIONS - 1):
        if not len(found):
            return found
        chosen = found[best(found)]
        kept = found[rng.integers(len(found), size=KEPT)]
        found = _distinct([chosen, kept, *_bred(tables, chosen, rng)], feasible)
    return found


def _bred(tables: Tables, parents: Rows, rng: np.random.Generator) -> list[Rows]:
    return [mutations(tables, parents, FRESH, rng)] if len(parents) else []


def _distinct(groups: list[Rows], feasible: Select) -> Rows:
    found = np.unique(np.concatenate(groups), axis=0)
    return found[feasible(found)]


def farthest(rows: Rows, known: Rows, tables: Tables, rng: np.random.Generator) -> Rows:
    """Select the design that is farthest from known designs in the features of its slots.

    Args:
        rows: (n, slots) designs to select from, at least one.
        known: (k, slots) known designs.
        tables: Tables of the search space.
        rng: Source of randomness.

    Returns:
        (slots,) design with the largest distance from the nearest known design; a random one if
        none is known.
    """
    if not len(known):
        random: Rows = rows[int(rng.integers(len(rows)))]
        return random
    points = _points(np.concatenate([rows, known]), tables)
    distances = [((points[: len(rows)] - other) ** 2).sum(axis=1) for other in points[len(rows) :]]
    found: Rows = rows[int(np.argmax(np.min(distances, axis=0)))]
    return found


def _points(rows: Rows, tables: Tables) -> Values:
    features = [table.features[own] for own, table in zip(rows.T, tables.slots, strict=True)]
    points = np.concatenate([*features, np.log2(np.maximum(tables.costs(rows), 1))], axis=1)
    found: Values = (points - points.mean(axis=0)) / (points.std(axis=0) + 0.1)
    return found
