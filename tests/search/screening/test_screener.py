"""The screener in a simulated world whose true front is known."""

import numpy as np
import pytest

from dsx.analysis import DeploymentFacts, hypervolume
from dsx.search.plan import find_metrics
from dsx.search.screening.history import Known, Reading
from dsx.search.screening.screener import START, Screener
from dsx.search.screening.tables import Rows, Values
from dsx.space import SearchSpace
from dsx.space.space import build_space
from tests.search.screening.small import difficulty, drawn, small
from tests.search.screening.test_latency import deployed, latency
from tests.search.spaces import STATIC

REFERENCE = {"accuracy": 0.85, "latency_ms": 1.65, "bits": 1.1 * 157_888}


def space(objectives: str) -> SearchSpace:
    text = STATIC.read_text().replace("params: minimize, flops: minimize", objectives)
    return build_space("simulated", "simulated.yaml", text)


THREE = space("accuracy: maximize, latency_ms: minimize, bits: minimize")
TWO = space("latency_ms: minimize, bits: minimize")


def accuracy(row: Rows) -> float:
    return 1 - float(np.exp(0.3 * difficulty(row[None])[0] - 3.5))


def measured(row: Rows, rng: np.random.Generator) -> Known:
    params, flops, bits = small().costs(row[None])[0].tolist()
    errors = rng.binomial(360, 1 - accuracy(row)) / 360
    return Known(
        row=row,
        readings={
            "accuracy": Reading(value=1 - errors, error=0.01, examples=360),
            "latency_ms": Reading(value=latency(row)),
            "bits": Reading(value=bits),
            "flops": Reading(value=flops),
            "params": Reading(value=params),
        },
        feasible=flops <= 0.5 * small().baseline[1],
    )


def screener(simulated: SearchSpace, rng: np.random.Generator) -> Screener:
    found = Screener(simulated, small(), find_metrics(simulated), 0.03, ["latency_ms"])
    found.reference = REFERENCE
    found.add(measured(np.zeros(6, dtype=np.intp), rng))
    return found


def searched(simulated: SearchSpace, count: int, seed: int) -> tuple[Screener, Rows]:
    rng = np.random.default_rng(seed)
    found = screener(simulated, rng)
    rows = []
    for _ in range(count):
        row = found.propose(rng)
        assert row is not None
        found.note(row, deployed(row))
        found.add(measured(row, rng))
        rows.append(row)
    return found, np.array(rows)


def true_costs(rows: Rows) -> Values:
    own = [[-accuracy(row), latency(row), small().costs(row[None])[0, 2]] for row in rows]
    return np.array(own)


def volume(rows: Rows, columns: list[int]) -> float:
    feasible = rows[small().costs(rows)[:, 1] <= 0.5 * small().baseline[1]]
    reference = np.array([-0.85, 1.65, 1.1 * 157_888])
    return hypervolume(true_costs(feasible)[:, columns], reference[columns])


@pytest.mark.parametrize(
    ("simulated", "columns"), [(THREE, [0, 1, 2]), (TWO, [1, 2])], ids=["three", "two"]
)
def test_few_designs_are_better_than_many_random_ones(
    simulated: SearchSpace, columns: list[int]
) -> None:
    for seed in range(2):
        _, rows = searched(simulated, 8, seed)
        random = small().random(100, np.random.default_rng(seed))
        assert volume(rows, columns) > volume(random, columns)


def test_no_design_is_proposed_twice_and_all_meet_exact_constraints() -> None:
    _, rows = searched(THREE, 12, 0)
    assert len(np.unique(rows, axis=0)) == 12
    assert rows.any(axis=1).all()
    assert (small().costs(rows)[:, 1] <= 0.5 * small().baseline[1]).all()


def test_the_first_designs_are_far_apart() -> None:
    _, rows = searched(THREE, START, 0)
    distances = [(one != two).sum() for i, one in enumerate(rows) for two in rows[:i]]
    assert min(distances) >= 4


def test_equal_randomness_gives_equal_designs() -> None:
    assert searched(THREE, 6, 3)[1].tolist() == searched(THREE, 6, 3)[1].tolist()


def test_without_feasible_candidates_nothing_is_proposed() -> None:
    rng = np.random.default_rng(0)
    text = THREE.source.text.replace('flops: "<= 50%"', 'flops: "<= 4000"')
    impossible = build_space("impossible", "impossible.yaml", text)
    assert screener(impossible, rng).propose(rng) is None


def test_the_probability_of_a_dominated_design_is_small() -> None:
    found, rows = searched(THREE, 15, 1)
    rng = np.random.default_rng(0)
    # The same specs with the accuracy of chance, for a design that is not small.
    worst = max(drawn(60, seed=8), key=latency)
    poor = measured(worst, rng)
    readings = {**poor.readings, "accuracy": Reading(value=0.3, error=0.01, examples=360)}
    del readings["latency_ms"]
    found.add(Known(row=worst, readings=readings))
    assert found.probabilities(worst[None], rng)[0] < 0.15
    best = min(rows, key=lambda row: float(small().costs(row[None])[0, 2]))
    assert found.probabilities(best[None], rng)[0] == 1


def test_probabilities_agree_with_the_truth() -> None:
    hits, expected = [], []
    for seed in range(4):
        found, rows = searched(THREE, 10, seed)
        new = drawn(40, seed=20 + seed)[1:]
        rng = np.random.default_rng(seed)
        for row in new:
            found.note(row, deployed(row))
        chances = found.probabilities(new, rng)
        costs = true_costs(np.concatenate([rows, new]))
        for place, chance in enumerate(chances.tolist()):
            own = costs[len(rows) + place]
            rivals = costs[: len(rows)]
            beaten = ((rivals <= own).all(axis=1) & (rivals < own).any(axis=1)).any()
            hits.append(not beaten)
            expected.append(chance)
    on_front, order = np.array(hits), np.argsort(expected)
    # No design of the front would have been left out.
    assert not (on_front & (np.array(expected) < 0.05)).any()
    assert on_front[order[-40:]].mean() > on_front[order[:40]].mean()
    assert on_front[order[-40:]].mean() > 0.8


def test_a_design_without_timing_has_its_own_values_otherwise() -> None:
    found, _ = searched(THREE, 6, 0)
    facts = DeploymentFacts()
    row = drawn(30, seed=11)[5]
    known = measured(row, np.random.default_rng(0))
    late = {name: each for name, each in known.readings.items() if name != "latency_ms"}
    found.note(row, facts)
    found.add(Known(row=row, readings=late))
    before = found.probabilities(row[None], np.random.default_rng(0))[0]
    bits = {**late, "bits": Reading(value=10.0)}
    found.add(Known(row=row, readings=bits))
    assert before <= found.probabilities(row[None], np.random.default_rng(0))[0] == 1
