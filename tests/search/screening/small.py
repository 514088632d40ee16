"""A small space with its tables."""

import functools

import numpy as np

from dsx.search.screening.tables import Rows, Tables, Values
from dsx.space import SearchSpace, load_space
from tests.search.spaces import STATIC


@functools.cache
def small() -> Tables:
    """Return the tables of a space with six slots of twelve settings."""
    return Tables.of(load_space(STATIC))


def drawn(count: int, seed: int = 0) -> Rows:
    """Sample different designs of that space, the baseline first."""
    tables = small()
    rows = np.unique(tables.random(4 * count, np.random.default_rng(seed)), axis=0)
    rows = np.random.default_rng(seed).permutation(rows)[: count - 1]
    return np.concatenate([np.zeros((1, rows.shape[1]), dtype=np.intp), rows])


def difficulty(rows: Rows) -> Values:
    """Return a smooth function of designs, larger for smaller networks."""
    costs = small().costs(rows) / small().baseline
    found: Values = -np.log2(costs[:, 0]) + 0.5 * (rows[:, 0] == 0)
    return found


def space() -> SearchSpace:
    """Return the space itself."""
    return small().space
