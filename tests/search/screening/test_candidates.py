"""Candidates: recombinations and mutations, and the design that is farthest from others."""

import numpy as np

from dsx.search.screening import candidates
from dsx.search.screening.candidates import farthest, generate, mutations
from dsx.search.screening.tables import Rows
from tests.search.screening.small import drawn, small


def everything(rows: Rows) -> np.ndarray:
    return np.ones(len(rows), dtype=bool)


def test_mutations_have_most_slots_of_a_parent() -> None:
    parents = drawn(2)[1:]
    found = mutations(small(), parents, 4000, np.random.default_rng(0))
    changed = (found != parents).sum(axis=1)
    assert (changed == 0).any()
    assert 0.8 < changed.mean() < candidates.MUTATED_SLOTS


def test_mutations_of_two_parents_mix_their_slots() -> None:
    one, two = np.full(6, 1), np.full(6, 2)
    found = mutations(small(), np.stack([one, two]), 4000, np.random.default_rng(0))
    pure = (found == 1).all(axis=1) | (found == 2).all(axis=1)
    inherited = np.isin(found, [1, 2]).all(axis=1)
    assert (inherited & ~pure).sum() > 200


def test_candidates_are_different_and_feasible() -> None:
    def feasible(rows: Rows) -> np.ndarray:
        return small().costs(rows)[:, 0] < 2000

    def best(rows: Rows) -> np.ndarray:
        return small().costs(rows)[:, 0] < 800

    none = np.zeros((0, 6), dtype=np.intp)
    found = generate(small(), none, feasible, best, np.random.default_rng(0))
    assert len(np.unique(found, axis=0)) == len(found) > 1000
    assert feasible(found).all()
    random = small().random(len(found), np.random.default_rng(1))
    # Those of which the models expect most are bred.
    assert best(found).mean() > 3 * best(random[feasible(random)]).mean()


def test_there_may_be_no_candidate() -> None:
    none = np.zeros((0, 6), dtype=np.intp)
    found = generate(
        small(), none, lambda rows: ~everything(rows), everything, np.random.default_rng(0)
    )
    assert found.shape == (0, 6)


def test_the_farthest_design_has_no_near_neighbour() -> None:
    rows = drawn(60)
    known = rows[:3]
    found = farthest(rows[3:], known, small(), np.random.default_rng(0))
    features = [table.features for table in small().slots]

    def point(row: Rows) -> np.ndarray:
        own = [features[place][number] for place, number in enumerate(row.tolist())]
        return np.concatenate([*own, np.log2(small().costs(row[None])[0])])

    points = np.array([point(row) for row in [*rows[3:], *known]])
    scaled = (points - points.mean(axis=0)) / (points.std(axis=0) + 0.1)
    nearest = [min(((each - other) ** 2).sum() for other in scaled[-3:]) for each in scaled[:-3]]
    assert found.tolist() == rows[3:][int(np.argmax(nearest))].tolist()


def test_the_first_design_is_random() -> None:
    rows, none = drawn(60), np.zeros((0, 6), dtype=np.intp)
    found = {
        tuple(farthest(rows, none, small(), np.random.default_rng(seed))) for seed in range(10)
    }
    assert len(found) > 5
