"""Front membership, and the pairs of designs that are undecided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.differences import Objective
from dsx.analysis.dominance import membership
from dsx.analysis.dominance.membership import (
    contested_pairs,
    depend_on_flags,
    membership_of,
)
from dsx.analysis.estimate import Estimate

# Few different values, so that some are equal and some differences are 0.
NUMBERS = st.integers(0, 3).map(float)
VALUES = st.tuples(NUMBERS, st.sampled_from([0.0, 0.5, 1.5]), st.booleans(), st.integers(0, 2))
DESIGNS = st.integers(1, 5).flatmap(lambda m: st.lists(st.tuples(*[VALUES] * m), max_size=5))


def estimate(
    value: float, half: float, flagged: bool = False, label: int | None = None
) -> Estimate:
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        noisy=flagged,
        rests_on=frozenset() if label is None else frozenset({label}),
    )


def objectives(designs: list[list[Estimate]]) -> list[Objective]:
    return [Objective(estimates=column, sign=1.0) for column in zip(*designs, strict=True)]


def everything(found: list[Objective]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(found[0].estimates))
    return rows, rows


@pytest.mark.parametrize(
    ("probability", "observed", "word"),
    [
        (1.0, True, "certain"),
        (0.95, False, "certain"),
        (0.94, True, "possible"),
        (0.05, False, "possible"),
        (0.04, True, "possible"),
        (0.04, False, "no"),
        (0.0, False, "no"),
    ],
)
def test_membership_is_decided_by_probability(
    probability: float, observed: bool, word: str
) -> None:
    assert membership_of(probability, observed, flagged=False) == word
    less = "possible" if word == "certain" else word
    assert membership_of(probability, observed, flagged=True) == less


@given(DESIGNS)
def test_contested_pairs_are_those_of_the_definition(
    drawn: list[tuple[tuple[float, float, bool, int], ...]],
) -> None:
    # Designs that share a reading have the same value in every respect.
    shared: dict[tuple[int, int], Estimate] = {}
    designs = [
        [
            shared.setdefault((place, label), estimate(v, half, flagged, label))
            for place, (v, half, flagged, label) in enumerate(row)
        ]
        for row in drawn
    ]
    if not designs:
        return
    found = objectives(designs)
    expected = []
    for one, mine in enumerate(designs):
        for other, theirs in enumerate(designs):
            bounds = []
            for a, b in zip(theirs, mine, strict=True):
                if a is b:
                    bounds.append((0.0, 0.0))
                elif a.flagged or b.flagged:
                    bounds.append((-np.inf, np.inf))
                else:
                    half = np.hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
                    bounds.append((a.value - b.value - half, a.value - b.value + half))
            could = all(low <= 0 for low, _ in bounds) and any(low < 0 for low, _ in bounds)
            certain = all(high <= 0 for _, high in bounds) and any(high < 0 for _, high in bounds)
            if could and not certain and (other, one) not in expected:
                expected.append((one, other))
    assert contested_pairs(found, *everything(found)) == expected


def test_exact_values_are_not_contested() -> None:
    found = objectives([[estimate(1, 0), estimate(2, 0)], [estimate(2, 0), estimate(3, 0)]])
    assert contested_pairs(found, *everything(found)) == []


def test_a_flagged_value_decides_nothing() -> None:
    # Latency and error; the third design is far slower.
    latencies = [1.0, 1.1, 9.0]
    found = objectives(
        [[estimate(each, 0.01, flagged=True), estimate(0.1, 0)] for each in latencies]
    )
    assert contested_pairs(found, *everything(found)) == [(0, 1), (0, 2), (1, 2)]
    found = objectives([[estimate(each, 0.01), estimate(0.1, 0)] for each in latencies])
    assert contested_pairs(found, *everything(found)) == []


def test_equal_deployed_networks_are_distinguished_by_other_costs() -> None:
    designs = [
        [estimate(1, 0.5, label=1), estimate(0.1, 0)],
        [estimate(1, 0.5, label=1), estimate(0.2, 0)],
    ]
    found = objectives(designs)
    assert contested_pairs(found, *everything(found)) == []
    apart = objectives([[estimate(1, 0.5, label=n), bits] for n, (_, bits) in enumerate(designs)])
    assert contested_pairs(apart, *everything(apart)) == [(1, 0)]


def test_only_the_given_designs_are_compared() -> None:
    found = objectives([[estimate(value, 1.0)] for value in (1.0, 1.1, 1.2)])
    assert contested_pairs(found, np.array([0, 2]), np.array([0, 2])) == [(0, 2)]
    assert contested_pairs(found, np.array([0]), np.arange(3)) == [(0, 1), (0, 2)]


def test_many_designs_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    designs = [[estimate(value, 0.2), estimate(-value, 0.2)] for value in rng.uniform(0, 2, 40)]
    found = objectives(designs)
    whole = contested_pairs(found, *everything(found))
    assert whole
    monkeypatch.setattr(membership, "_CHUNK", 100)
    assert contested_pairs(found, *everything(found)) == whole


def test_designs_that_only_a_flagged_value_protects() -> None:
    # Latency and error. The second could be faster than it seems, which matters to the first only,
    # since the third has a smaller error than both.
    found = objectives(
        [
            [estimate(1.0, 0.01), estimate(0.1, 0)],
            [estimate(4.0, 0.01, flagged=True), estimate(0.1, 0)],
            [estimate(0.5, 0.01), estimate(0.05, 0.01)],
        ]
    )
    assert depend_on_flags(found, np.array([0, 1]), np.array([0, 1])).tolist() == [True, False]
    assert depend_on_flags(found, *everything(found)).tolist() == [True, False, False]
    calm = objectives([[estimate(1.0, 0.01)], [estimate(4.0, 0.01)]])
    assert depend_on_flags(calm, *everything(calm)).tolist() == [False, False]
