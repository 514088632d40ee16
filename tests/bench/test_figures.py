"""Goals of figures, and figures as rows and sentences."""

import math

import pytest

from dsx.bench._figures import Figure, Goal, describe


def figure(value: float, goal: Goal | None) -> Figure:
    return Figure(
        part="order", machine="idle", figure="tau", value=value, made_from="30 designs", goal=goal
    )


@pytest.mark.parametrize(
    ("sign", "value", "met"),
    [("<=", 0.05, "yes"), ("<=", 0.0501, "no"), (">=", 0.05, "yes"), (">=", 0.0499, "no")],
)
def test_a_goal_is_met_at_its_bound(sign: str, value: float, met: str) -> None:
    goal = Goal(sign="<=" if sign == "<=" else ">=", bound=0.05)
    row = figure(value, goal).row()
    assert (row["goal"], row["met"], row["value"]) == (f"{sign} 0.05", met, value)


@pytest.mark.parametrize("sign", ["<=", ">="])
def test_nan_meets_no_goal(sign: str) -> None:
    assert not Goal(sign="<=" if sign == "<=" else ">=", bound=1.0).is_met(math.nan)


def test_a_figure_is_described_in_one_sentence() -> None:
    goal = Goal(sign=">=", bound=0.95)
    assert describe(figure(0.96, goal).row()) == (
        "order (idle): tau: 0.96 [30 designs]; goal >= 0.95: met"
    )
    assert describe(figure(0.94, goal).row()).endswith("goal >= 0.95: missed")
    assert describe(figure(0.94, None).row()) == "order (idle): tau: 0.94 [30 designs]"


def test_all_rows_have_the_same_keys() -> None:
    goal = Goal(sign=">=", bound=0.95)
    plain = figure(1.0, None).row()
    assert figure(1.0, goal).row().keys() == plain.keys()
    assert plain["goal"] == plain["met"] == ""
