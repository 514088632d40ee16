"""What every view asks of a front."""

from dataclasses import replace

import pytest

from dsx.analysis.front import Front
from dsx.errors import DsxError
from dsx.report.front.view import (
    axes,
    called,
    dense,
    described,
    hollow,
    listed,
    logarithmic,
    mark,
    metrics,
    number,
    ranked,
    ratio,
    role,
    short_ids,
    standing,
    tally,
    uncertain,
    unlisted,
)


def test_objectives_come_first_then_what_is_known_then_the_rest(three: Front) -> None:
    objectives = ["flops", "latency_ms", "accuracy"]
    assert metrics(three) == [*objectives, "params", "bits", "peak_memory_mb"]


def test_best_first_and_the_baseline_last(two: Front, one: Front) -> None:
    assert [entry.trial for entry in ranked(two)] == [1, 4, 3, 2, 7]
    assert [entry.trial for entry in listed(two)] == [1, 4, 3, 2, 7, 0]
    assert [entry.trial for entry in ranked(one)] == [7]


def test_the_baseline_is_listed_once(lone: Front) -> None:
    assert [entry.trial for entry in ranked(lone)] == [entry.trial for entry in listed(lone)] == [0]


def test_roles_and_standings(two: Front, lone: Front, hopeless: Front) -> None:
    roles = {entry.trial: role(two, entry) for entry in two.entries}
    assert roles.pop(0) == "baseline"
    assert roles.pop(3) == "knee"
    assert roles.pop(8) == "infeasible"
    assert roles.pop(5) == roles.pop(6) == "dominated"
    assert roles == {1: "front", 4: "front", 2: "unsure", 7: "unsure"}
    standings = [standing(two, entry) for entry in two.entries if entry.trial in (0, 1, 2, 5, 8)]
    assert standings == [
        "dominated, perhaps not",
        "on the front",
        "perhaps on the front",
        "dominated",
        "infeasible",
    ]
    assert role(lone, lone.entries[0]) == "knee"
    assert called(lone, "knee") == "knee, the baseline"
    assert called(two, "knee") == called(hopeless, "knee") == "knee"
    assert role(hopeless, hopeless.entries[0]) == "infeasible"


def test_ids_are_as_short_as_they_may_be(two: Front) -> None:
    assert short_ids(two)[two.entries[1].id] == "419d76"
    twin = replace(two.entries[1], id="419d760fffff", trial=99)
    assert short_ids(replace(two, entries=(*two.entries, twin)))["419d760fffff"] == "419d760f"


def test_axes_are_chosen_by_direction(two: Front, three: Front, one: Front) -> None:
    assert axes(two) == axes(three) == ("flops", "accuracy")
    assert axes(one) == ("trial", "accuracy")
    assert axes(three, y="latency_ms") == ("flops", "latency_ms")
    assert axes(two, y="flops") == ("accuracy", "flops")
    assert axes(two, x="accuracy") == ("accuracy", "flops")
    assert axes(two, x="params", y="trial") == ("params", "trial")
    both = replace(two, objectives={"flops": "minimize", "params": "minimize"})
    assert axes(both) == ("flops", "params")


def test_an_unknown_axis_is_refused(two: Front) -> None:
    with pytest.raises(DsxError, match=r"no metric called 'latency' .* mean 'latency_ms'"):
        axes(two, x="latency")


def test_numbers_that_cannot_be_drawn(ragged: Front) -> None:
    endless, bare = ragged.entries[0], ragged.entries[-1]
    assert number(endless, "latency_ms") is number(bare, "flops") is None
    trial = number(bare, "trial")
    assert trial is not None and trial.value == 9


def test_ratios_need_a_baseline_and_both_numbers(two: Front, ragged: Front) -> None:
    base, first = two.entries[:2]
    assert ratio(two, first, "flops") == "6.6%"
    assert ratio(two, base, "flops") == ""
    assert ratio(two, replace(first, metrics={}), "flops") == ""
    assert ratio(ragged, ragged.entries[1], "flops") == ""


def test_dense_counts_only_what_was_redesigned_and_deployed(two: Front) -> None:
    base, first = two.entries[:2]
    assert (dense(base), dense(first), dense(replace(first, fallbacks=None))) == ("-", "1/4", "-")


def test_axes_say_which_way_is_better(two: Front) -> None:
    assert described(two, "flops") == "flops (multiply-adds), lower is better"
    assert described(two, "accuracy") == "accuracy (%), higher is better"
    assert described(two, "params") == "params"


def test_only_far_apart_metrics_are_logarithmic(two: Front, ragged: Front) -> None:
    assert not logarithmic(two, "flops")
    assert logarithmic(ragged, "flops")
    late = replace(ragged, entries=(*ragged.entries[:3], replace(ragged.entries[-1], trial=999)))
    assert not logarithmic(late, "trial")
    assert not logarithmic(two, "nothing")


def test_hollow_is_what_is_but_perhaps(two: Front, one: Front, lone: Front, ragged: Front) -> None:
    assert [hollow(two, kind) for kind in ("knee", "front", "unsure", "possible")] == [
        *(False, False, True, True)
    ]
    assert hollow(two, "baseline") and not hollow(lone, "knee") and not hollow(lone, "baseline")
    assert not hollow(ragged, "baseline")
    assert hollow(one, "knee") and called(one, "knee") == "knee, perhaps"
    assert [mark(one, kind) for kind in ("knee", "baseline", "front")] == ["☆", "◇", "●"]
    assert mark(two, "knee") == "★"
    assert called(two, "possible") == "dominated, perhaps not"


def test_the_front_is_counted(two: Front, lone: Front, hopeless: Front) -> None:
    assert tally(two) == "5 of 9 designs on the front (3 for certain), 1 more perhaps"
    assert tally(lone) == "1 of 1 designs on the front (1 for certain)"
    assert tally(hopeless) == "0 of 1 designs on the front"
    assert uncertain(two) and not uncertain(replace(two, objectives={"flops": "minimize"}))
    assert not uncertain(hopeless)


def test_some_that_are_perhaps_are_listed(crowd: Front, two: Front) -> None:
    trials = [entry.trial for entry in listed(crowd)]
    # Fewest designs of the front dominate the first of them.
    assert trials == [1, 4, 3, 2, 7, *range(20, 30), 0]
    assert (unlisted(crowd), unlisted(two)) == (4, 0)
