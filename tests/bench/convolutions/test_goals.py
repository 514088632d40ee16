"""Goals and their outcomes."""

import dataclasses
from typing import Any

import pytest

from dsx.bench._rounds import IDENTITY, Ratio
from dsx.bench.convolutions.goals import MEASURES, Outcome, summarise
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import Result

PLAIN = Result(
    family=Family.SLIDING, operator="scc", layer="64@32", batch=32, threads=1, training=False,
    form="block_sparse", over={},
)  # fmt: skip


def result(other: str, value: float, **facts: Any) -> Result:
    ratio = Ratio(value=value, low=facts.pop("low", value), high=value, rounds=9)
    return dataclasses.replace(PLAIN, over={other: ratio}, **facts)


def outcome(name: str, *results: Result) -> Outcome:
    found = [each for each in summarise(results) if each.measure.name.startswith(name)]
    return found[0]


def test_mean_and_worst_case_are_compared_with_their_goals() -> None:
    ratios = [result("grouped", 0.25), result("grouped", 0.81, layer="128@16")]
    found = outcome("sliding / grouped, batch 32", *ratios)
    assert found.mean == pytest.approx(0.45) and found.worst == 0.81
    assert (found.worst_case, found.cases) == ("scc on 128@16, batch 32", 2)
    assert found.goal == "mean <= 0.5, worst <= 0.85" and found.is_met
    assert not outcome("sliding", *ratios, result("grouped", 0.86)).is_met
    assert not outcome("sliding", result("grouped", 0.51)).is_met


def test_the_worst_of_a_speedup_is_the_least() -> None:
    found = outcome(
        "composition / sliding", result("composition", 0.02), result("composition", 0.5)
    )
    assert found.mean == pytest.approx(10) and found.worst == 2.0
    assert found.is_met and found.goal == "mean >= 8, worst >= 1.9"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("sliding / grouped, batch 32", {}),
        ("sliding / grouped, batch 32", {"batch": 128}),
        ("sliding / grouped, batch 1", {"batch": 1}),
        ("sliding / grouped, batch 1, 4", {"batch": 1, "groups": 8}),
        ("sliding / grouped, training", {"training": True}),
    ],
)
def test_a_result_belongs_to_its_measures(name: str, facts: dict[str, Any]) -> None:
    assert outcome(name, result("grouped", 0.4, **facts)).mean == pytest.approx(0.4)


def test_ratios_of_kernel_shapes_are_divided_by_their_density() -> None:
    shape: dict[str, Any] = {"family": Family.SHAPE, "share": 0.25}
    found = outcome(
        "kernel shape / dense / density, batch 1", result("dense", 0.3, batch=1, **shape)
    )
    assert found.mean == pytest.approx(1.2) and not found.is_met
    found = outcome("kernel shape / dense / density, batch 32", result("dense", 0.3, **shape))
    assert found.mean == pytest.approx(1.2)


def test_an_unchanged_convolution_only_counts_as_not_slower() -> None:
    unchanged = result("dense", 1.0, family=Family.SHAPE, form="unchanged")
    assert [each.measure.name for each in summarise([unchanged])] == [
        "deployed / replaced; worst: lower end"
    ]


def test_sampled_dials_have_a_bound_that_depends_on_their_density() -> None:
    dials: dict[str, Any] = {"family": Family.DIALS}
    name = "sparse dials / dense / max"
    assert outcome(name, result("dense", 0.3, share=0.1, **dials)).is_met
    assert not outcome(name, result("dense", 0.4, share=0.1, **dials)).is_met
    assert outcome(name, result("dense", 0.7, share=0.5, **dials)).is_met


def test_a_form_is_slower_only_if_its_whole_interval_is() -> None:
    name = "deployed / replaced"
    assert outcome(name, result("dense", 1.2, low=1.03)).is_met
    assert not outcome(name, result("dense", 1.2, low=1.04)).is_met
    assert outcome(name, dataclasses.replace(PLAIN, over={"dense": IDENTITY})).is_met
    assert not summarise([result("dense", 1.2, family=Family.BLOCK, batch=128)])


def test_a_left_out_case_counts_in_no_goal() -> None:
    left_out = dataclasses.replace(PLAIN, skipped="dense: working set of 5.0 GiB", share=0.0)
    found = summarise([left_out, result("grouped", 0.4)])
    assert [(each.measure.name, each.cases) for each in found] == [
        ("sliding / grouped, batch 32 and 128", 1)
    ]


@pytest.mark.parametrize("operator", ["slbf Cout/8 s1", "slbf Cout/8", "slbf Cout/8 s4"])
def test_binary_bases_with_any_number_of_splits_share_a_goal(operator: str) -> None:
    binary = result("dense", 0.3, family=Family.BINARY, operator=operator)
    assert outcome("slbf Cout/8", binary).is_met
    assert not [each for each in summarise([binary]) if each.measure.name.startswith("slbf Cout/4")]


def test_the_limit_of_the_device_is_compared_with_the_time() -> None:
    found = outcome("sliding / limit", result("grouped", 1, seconds=1.3, limit=1.0))
    assert found.mean == pytest.approx(1.3) and found.is_met


def test_networks_have_a_goal_for_each_preset() -> None:
    network = result("dense", 0.5, family=Family.NETWORK, batch=1, operator="ssc corners")
    (found,) = summarise([network])
    assert found.goal == "worst <= 0.55" and found.is_met


def test_each_number_of_threads_has_its_outcomes() -> None:
    found = summarise([result("grouped", 0.4), result("grouped", 0.6, threads=2)])
    assert [(each.threads, round(each.mean, 9)) for each in found] == [(1, 0.4), (2, 0.6)]


def test_the_names_of_the_measures_are_different() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names) == 18
