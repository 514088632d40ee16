"""Hypervolumes of prefixes of a search, and the comparison with bare Optuna."""

import math

import pytest

from dsx.bench.searching.contests import BARE
from dsx.bench.searching.merit import Judge, Merit, compare
from tests.bench.searching.records import OBJECTIVES, found, record

BASELINE = found("base", 0.9, 100.0, 1.0, feasible=False)
LATENCIES = {"base": 2.0, "small": 1.0, "fast": 0.5, "poor": 0.5, "tiny": 1.0}
JUDGE = Judge(objectives=OBJECTIVES, latencies=LATENCIES, baseline=BASELINE)
SMALL = found("small", 0.89, 50.0, 3.0)
POOR = found("poor", 0.85, 10.0, 4.0)
BOX = 2.2 * 110


def test_costs_are_those_of_the_joint_timing_and_of_the_test_split() -> None:
    assert JUDGE.costs(SMALL) == pytest.approx([0.11, 1.0, 50.0])


@pytest.mark.parametrize(("tight", "height"), [(False, 0.1 + 0.09), (True, 0.1 + 0.02)])
def test_the_hypervolume_is_a_share_of_the_box(tight: bool, height: float) -> None:
    first, second, third = JUDGE.volumes([BASELINE, SMALL, POOR], tight)
    # The baseline violates a constraint.
    assert first == 0
    assert second == pytest.approx((height - 0.11) * 1.2 * 60 / (height * BOX))
    if tight:
        assert third == second
    else:
        both = (height - 0.11) * 1.2 * 60 + (height - 0.15) * (1.7 * 100 - 1.2 * 60)
        assert third == pytest.approx(both / (height * BOX))


def test_objectives_without_accuracy_have_one_hypervolume() -> None:
    judge = Judge(objectives=OBJECTIVES[1:], latencies=LATENCIES, baseline=BASELINE)
    assert judge.volumes([SMALL], tight=True) == judge.volumes([SMALL], tight=False)
    assert judge.volumes([SMALL], tight=True) == pytest.approx([1.2 * 60 / BOX])


def test_a_search_is_compared_with_the_time_at_which_bare_optuna_has_its_hypervolume() -> None:
    tiny = found("tiny", 0.89, 20.0, 2.0)
    late = found("poor", 0.85, 90.0, 40.0)
    # The last design of bare Optuna adds nothing to the tight hypervolume.
    bare = record(BARE, BASELINE, found("small", 0.89, 50.0, 20.0), late)
    ours = record("dsx screening", BASELINE, tiny)
    merit = compare(ours, bare, JUDGE, tight=True)
    assert (merit.designs, merit.cpu, merit.wall) == (2, 10.0, 10.0)
    assert merit.whole == pytest.approx(41 / 2)
    assert merit.volume == JUDGE.volumes(ours.found, tight=True)[-1]
    worse = record("dsx TPE", BASELINE, found("small", 0.885, 50.0, 2.0))
    assert compare(worse, bare, JUDGE, tight=True) == Merit(
        volume=JUDGE.volumes(worse.found, tight=True)[-1]
    )
    assert not math.isinf(merit.volume)
