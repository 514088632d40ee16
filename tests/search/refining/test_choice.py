"""The choice of the next measurements of a refinement."""

from dataclasses import replace

import pytest

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Entry, Front
from dsx.search.refining.choice import Choice, Limits, readings
from tests.report.conftest import make

COSTS = {"timing": 1.0, "training": 5.0}


def study(*designs: tuple[float, float], flagged: int | None = None) -> Front:
    """Build a front of latencies and accuracies that no repetition has made precise yet."""
    whole = make("latency_ms", "accuracy", trials=range(len(designs)))

    def change(entry: Entry, latency: float, accuracy: float) -> Entry:
        metrics = {
            "latency_ms": Estimate(
                value=latency, low=0.9 * latency, high=1.1 * latency,
                noisy=entry.trial == flagged, rests_on=frozenset({entry.trial}),
            ),
            "accuracy": Estimate(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02),
        }  # fmt: skip
        return replace(entry, feasible=True, metrics={**entry.metrics, **metrics})

    entries = [change(entry, *own) for entry, own in zip(whole.entries, designs, strict=True)]
    return replace(whole, entries=tuple(entries))


def choice(front: Front, **changes: object) -> Choice:
    found = Choice(front=front, limits=Limits(), device="", trained=["accuracy"])
    return replace(found, **changes)  # type: ignore[arg-type]


def trials(entries: list[Entry]) -> list[int]:
    return [entry.trial for entry in entries]


def test_the_design_whose_measurement_decides_most_pairs_comes_first() -> None:
    # The first two differ in latency by a little; the third is far better in accuracy.
    found = choice(study((1.0, 0.90), (1.1, 0.80), (3.0, 0.97)))
    assert set(trials(found.to_time)) == {0, 1}
    close = choice(study((1.0, 0.90), (3.0, 0.92), (9.0, 0.80)))
    assert set(trials(close.to_train)) == {0, 1}
    assert close.to_time == [] and close.best(COSTS) == "training"


def test_the_kind_that_decides_more_pairs_per_second_is_chosen() -> None:
    both = choice(study((1.0, 0.90), (1.1, 0.80), (5.0, 0.98), (9.0, 0.99)))
    assert both.to_time and both.to_train
    assert both.best({"timing": 0.01, "training": 1000.0}) == "timing"
    assert both.best({"timing": 1000.0, "training": 0.01}) == "training"


def test_flagged_designs_are_timed_once_before_anything_else() -> None:
    front = study((1.0, 0.90), (1.1, 0.80), (5.0, 0.98), (9.0, 0.99), flagged=2)
    costs = {"timing": 1000.0, "training": 0.01}
    found = choice(front)
    assert trials(found.to_time)[0] == 2 and found.best(costs) == "timing"
    again = choice(front, attempts={front.entries[2].id: 1})
    assert again.best(costs) == "training"


@pytest.mark.parametrize(
    ("changes", "timed", "trained"),
    [
        ({"limits": Limits(readings=1)}, False, True),
        ({"limits": Limits(seeds=1)}, True, False),
        ({"device": "another"}, False, True),
        ({"trained": []}, True, False),
    ],
)
def test_limits_are_respected(changes: dict[str, object], timed: bool, trained: bool) -> None:
    front = study((1.0, 0.90), (1.1, 0.80), (5.0, 0.98), (9.0, 0.99))
    found = choice(front, **changes)
    assert (bool(found.to_time), bool(found.to_train)) == (timed, trained)


def test_attempts_and_failures_exclude_designs() -> None:
    front = study((1.0, 0.90), (1.1, 0.80), (5.0, 0.98), (9.0, 0.99))
    worn = choice(front, attempts={front.entries[0].id: 20, front.entries[1].id: 20})
    assert {0, 1}.isdisjoint(trials(worn.to_time))
    failed = choice(front, untrainable={front.entries[3].id})
    assert 3 not in trials(failed.to_train)


def test_the_outlook_grows_with_time_and_counts_what_nothing_can_separate() -> None:
    # The second and the third have the same values.
    front = study((1.0, 0.90), (1.12, 0.89), (3.0, 0.95), (3.0, 0.95), (9.0, 0.99))
    found = choice(front)
    expected = [found.outlook(seconds, COSTS).expected for seconds in (0, 5, 50, 500)]
    assert expected == sorted(expected) and expected[0] == 0 < expected[1]
    outlook = found.outlook(500, COSTS)
    assert outlook.contested == len(front.contested) > outlook.expected
    assert outlook.images == 0
    exact = choice(front, limits=Limits(readings=1, seeds=1)).outlook(500, COSTS)
    assert exact.inseparable == exact.contested and exact.expected == 0


def test_nothing_is_chosen_where_nothing_is_contested() -> None:
    found = choice(study((1.0, 0.90), (9.0, 0.99)))
    assert (found.to_time, found.to_train, found.is_open) == ([], [], False)
    assert found.outlook(60, COSTS).contested == 0


def test_readings_are_those_of_the_timed_metrics() -> None:
    front = study((1.0, 0.90), (9.0, 0.99))
    assert readings(front, front.entries[0]) == 1
    bare = replace(front.entries[0], metrics={}, feasible=False)
    assert readings(replace(front, entries=(bare,)), bare) == 0
