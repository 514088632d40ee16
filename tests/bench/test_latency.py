"""The benchmark of latency: what it is made of."""

from dsx.bench import latency
from dsx.bench._order import GOAL as ORDER
from dsx.bench._repeated import COST, GOALS
from dsx.space import load_space


def test_goals_are_those_that_were_set() -> None:
    assert {machine: str(goal) for machine, goal in GOALS.items()} == {
        "quiet": "<= 0.05",
        "loaded": "<= 0.1",
    }
    assert (str(ORDER), str(COST)) == (">= 0.95", "<= 1.6")


def test_it_measures_what_was_asked_for() -> None:
    full = latency.FULL
    assert (full.space, full.networks, full.readings, full.designs) == ("digits", 10, 20, 30)
    assert full.searches == 4
    assert full.budget_seconds == load_space("digits").file.measure.budget_seconds


def test_nothing_is_trained_to_try_it() -> None:
    assert "accuracy" not in load_space(latency.TINY.space).file.objectives
