"""Queries that the views of a front share."""

from dataclasses import replace

import pytest

from dsx.analysis.front import Front
from dsx.errors import DsxError
from dsx.report.front.view import (
    axes,
    axis_title,
    dense,
    has_uncertainty,
    listed,
    logarithmic,
    metrics,
    number,
    ranked,
    ratio,
    short_ids,
    unlisted,
)


def test_objectives_come_first_then_static_metrics_then_the_others(three: Front) -> None:
    objectives = ["flops", "latency_ms", "accuracy"]
    assert metrics(three) == [*objectives, "params", "bits", "peak_memory_mb"]


def test_best_first_and_the_baseline_last(two: Front, one: Front) -> None:
    assert [entry.trial for entry in ranked(two)] == [1, 4, 3, 2, 7]
    assert [entry.trial for entry in listed(two)] == [1, 4, 3, 2, 7, 0]
    assert [entry.trial for entry in ranked(one)] == [7]


def test_the_baseline_is_listed_once(baseline_only: Front) -> None:
    assert (
        [entry.trial for entry in ranked(baseline_only)]
        == [entry.trial for entry in listed(baseline_only)]
        == [0]
    )


def test_ids_are_shortened_to_unique_prefixes(two: Front) -> None:
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


def test_an_unknown_axis_is_rejected(two: Front) -> None:
    with pytest.raises(DsxError, match=r"no metric called 'latency' .* mean 'latency_ms'"):
        axes(two, x="latency")


def test_infinite_and_missing_values_are_not_plotted(incomplete: Front) -> None:
    endless, bare = incomplete.entries[0], incomplete.entries[-1]
    assert number(endless, "latency_ms") is number(bare, "flops") is None
    trial = number(bare, "trial")
    assert trial is not None and trial.value == 9


def test_ratios_need_a_baseline_and_both_numbers(two: Front, incomplete: Front) -> None:
    base, first = two.entries[:2]
    assert ratio(two, first, "flops") == "6.6%"
    assert ratio(two, base, "flops") == ""
    assert ratio(two, replace(first, metrics={}), "flops") == ""
    assert ratio(incomplete, incomplete.entries[1], "flops") == ""


def test_dense_counts_redesigned_slots_of_deployed_designs(two: Front) -> None:
    base, first = two.entries[:2]
    assert (dense(base), dense(first), dense(replace(first, fallbacks=None))) == ("-", "1/4", "-")


def test_titles_of_axes_state_the_direction(two: Front) -> None:
    assert axis_title(two, "flops") == "flops (multiply-adds), lower is better"
    assert axis_title(two, "accuracy") == "accuracy (%), higher is better"
    assert axis_title(two, "params") == "params"


def test_only_far_apart_metrics_are_logarithmic(two: Front, incomplete: Front) -> None:
    assert not logarithmic(two, "flops")
    assert logarithmic(incomplete, "flops")
    late = replace(
        incomplete, entries=(*incomplete.entries[:3], replace(incomplete.entries[-1], trial=999))
    )
    assert not logarithmic(late, "trial")
    assert not logarithmic(two, "nothing")


def test_some_possible_members_are_listed(crowded: Front, two: Front) -> None:
    trials = [entry.trial for entry in listed(crowded)]
    # The first possible member is dominated by the fewest designs of the front.
    assert trials == [1, 4, 3, 2, 7, *range(20, 30), 0]
    assert (unlisted(crowded), unlisted(two)) == (4, 0)


def test_uncertainty_is_that_of_feasible_objectives(two: Front, infeasible: Front) -> None:
    assert has_uncertainty(two)
    assert not has_uncertainty(replace(two, objectives={"flops": "minimize"}))
    assert not has_uncertainty(infeasible)
