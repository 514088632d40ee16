"""Goals and size of the latency benchmark."""

from dsx.bench import latency
from dsx.bench._order import GOAL as ORDER
from dsx.bench._repeated import COST, GOALS
from dsx.space import load_space


def test_goals_have_the_documented_values() -> None:
    assert {machine: str(goal) for machine, goal in GOALS.items()} == {
        "idle": "<= 0.05",
        "loaded": "<= 0.1",
    }
    assert (str(ORDER), str(COST)) == (">= 0.95", "<= 1.6")


def test_the_full_size_is_the_documented_one() -> None:
    full = latency.FULL
    assert (full.space, full.networks, full.readings, full.designs) == ("digits", 10, 20, 30)
    assert full.searches == 4
    assert full.budget_seconds == load_space("digits").file.measure.budget_seconds


def test_a_quick_trial_does_not_train() -> None:
    assert "accuracy" not in load_space(latency.TINY.space).file.objectives
