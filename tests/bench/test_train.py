"""Goals and rows of the training benchmark."""

import pytest

from dsx.bench import train
from dsx.bench._blocks import Sample
from dsx.bench._trainings import CONTENDERS
from dsx.train import chosen_precision


def samples(*speeds: float) -> list[Sample]:
    return [Sample(1000, 1000 / speed, 1.0) for speed in speeds]


@pytest.mark.parametrize(
    ("other", "times", "met"),
    [
        ("bare loop", 0.96, "yes"),
        ("bare loop", 0.94, "no"),
        ("DataLoader", 1.51, "yes"),
        ("DataLoader", 1.49, "no"),
    ],
)
def test_a_row_states_whether_the_goal_was_met(other: str, times: float, met: str) -> None:
    ours, theirs = samples(times * 200, times * 100, times * 900), samples(200, 100, 900)
    row = train._Result(work=train.WORKS[0], other=other, ours=ours, theirs=theirs).row()
    assert (row["times_as_fast"], row["met"]) == (times, met)
    assert (row["low"], row["high"]) == (times, times)
    assert (row["images_per_s"], row["its_images_per_s"]) == (round(times * 200), 200)
    assert row["goal"] == f">= {train.GOALS[other]}"
    assert str(row["dsx"]).startswith(chosen_precision("auto"))
    assert row["against"] in ("bare loop, same settings", "DataLoader, float32, defaults")
    assert str(row["against"]).startswith(other)
    assert (row["threads"], row["rounds"]) == (1, 3)


def test_goals_have_the_documented_values() -> None:
    assert train.GOALS == {"bare loop": 0.95, "DataLoader": 1.5}
    assert CONTENDERS.keys() == {"dsx", *train.GOALS}


def test_a_quick_trial_has_the_same_trainings() -> None:
    assert [work.name for work in train.TINY] == [work.name for work in train.WORKS]
