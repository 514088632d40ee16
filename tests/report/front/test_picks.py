"""The lines that name the designs to look at first."""

from dsx.analysis.front import Front
from dsx.report.front.picks import picks


def test_knee_and_best_of_each(two: Front) -> None:
    assert picks(two).splitlines() == [
        "knee: #3 (4584e0), flops 74.5 M (24%), accuracy 93.0 % (-0.4 pt)",
        "best flops: #1 (419d76), flops 20.7 M (6.6%), accuracy 90.1 % (-3.3 pt)",
        "best accuracy: #7 (4d53b4), flops 210.4 M (67%), accuracy 93.7 % (+0.3 pt)",
    ]


def test_a_design_that_is_several_things_has_one_line(three: Front, lone: Front) -> None:
    assert picks(three).splitlines()[1].startswith("best flops, best latency: #1 (419d76)")
    assert picks(lone) == (
        "knee, best flops, best accuracy: #0 (3fa9c1), flops 313.2 M, accuracy 93.4 %"
    )


def test_nothing_feasible_nothing_picked(hopeless: Front) -> None:
    assert picks(hopeless) == ""


def test_means_over_seeds_say_so(doubtful: Front) -> None:
    assert "accuracy 92.1 % of 3 seeds (-1.3 pt)" in picks(doubtful).splitlines()[0]
