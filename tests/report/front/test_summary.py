"""The line about the knee, the count of the front, and the designs to look at first."""

from dataclasses import replace

import numpy as np

from dsx.analysis.estimate import Estimate
from dsx.analysis.examples import ExampleResults
from dsx.analysis.front import Entry, Front
from dsx.analysis.reasons import Outcomes
from dsx.report.front.rows import document
from dsx.report.front.summary import (
    SHOWN,
    claim_notes,
    headline,
    highlights,
    summarised,
    tally,
)


def trials(front: Front) -> dict[int, list[str]]:
    return {entry.trial: highlights(front).get(entry.id, []) for entry in summarised(front)}


def test_the_knee_is_compared_with_the_baseline(two: Front) -> None:
    assert headline(two) == (
        "knee #3 against the baseline: flops 76 % lower, accuracy -0.4 points (undecided)"
    )


def test_differences_of_exact_values_are_decided(two: Front) -> None:
    def sharpen(entry: Entry) -> Entry:
        value = entry.metrics["accuracy"].value
        exact = Estimate(value=value, low=value, high=value)
        return replace(entry, metrics={**entry.metrics, "accuracy": exact})

    exact = replace(two, entries=tuple(map(sharpen, two.entries)))
    assert headline(exact).endswith("accuracy -0.4 points")


def test_the_headline_without_a_comparison(
    baseline_only: Front, infeasible: Front, incomplete: Front
) -> None:
    assert headline(baseline_only) == "the baseline #0 is the knee of the front"
    assert headline(infeasible) == "No design meets the constraints"
    assert headline(incomplete) == f"knee #{incomplete.knee.trial}"
    failed = replace(baseline_only, entries=(), outcomes=Outcomes(baseline_failure="diverged"))
    assert "baseline failed: diverged" in headline(failed)


def test_the_front_is_counted(two: Front, baseline_only: Front, infeasible: Front) -> None:
    assert tally(two) == "5 of 9 designs on the front (3 certain), 1 more possible"
    assert tally(baseline_only) == "1 of 1 designs on the front (1 certain)"
    assert tally(infeasible) == "0 of 1 designs on the front"


def test_baseline_knee_and_the_best_of_each_objective_come_first(two: Front) -> None:
    assert trials(two) == {
        0: ["baseline"], 3: ["knee"], 1: ["best flops"], 7: ["best accuracy"], 4: [], 2: []
    }  # fmt: skip


def test_a_design_that_is_several_things_is_listed_once(three: Front, baseline_only: Front) -> None:
    assert trials(three)[1] == ["best flops", "best latency"]
    assert trials(baseline_only) == {0: ["baseline", "knee", "best flops", "best accuracy"]}


def test_others_are_spread_over_the_front(crowded: Front) -> None:
    one = replace(crowded, objectives={"accuracy": "maximize"})
    assert len(summarised(crowded)) == SHOWN
    assert len(summarised(one)) <= SHOWN
    few = replace(crowded, entries=crowded.entries[:3])
    assert len(summarised(few)) == 3


def test_without_a_feasible_design_there_is_nothing_to_show(infeasible: Front) -> None:
    assert summarised(infeasible) == []


def test_comparisons_by_a_trained_metric_are_explained(two: Front) -> None:
    alone = ["accuracy is compared independently, since no results per example are stored"]
    assert claim_notes(two) == alone == document(two)["notes"]
    rng = np.random.default_rng(0)

    def pair(entry: Entry, seeds: int) -> Entry:
        rows = [(rng.random(50) < 0.9).astype(float) for _ in range(seeds)]
        examples = tuple(ExampleResults.of(row, "images") for row in rows)
        accuracy = replace(entry.metrics["accuracy"], examples=examples, seeds=seeds)
        return replace(entry, metrics={**entry.metrics, "accuracy": accuracy})

    once = replace(two, entries=tuple(pair(entry, 1) for entry in two.entries))
    (note,) = claim_notes(once)
    assert (
        note == "accuracy is compared in pairs for these weights, the first training of each design"
    )
    twice = replace(two, entries=tuple(pair(entry, 2) for entry in two.entries))
    (note,) = claim_notes(twice)
    assert note.endswith("in pairs for the designs, with the differences between their trainings")
