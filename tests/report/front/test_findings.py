"""The findings of a study in a paragraph, compared with manual counts."""

import dataclasses
from typing import Any

import pytest

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Entry, Front
from dsx.report.front.findings import findings

KEEP = {"kernel_shape": "keep"}
SPECS: list[dict[str, dict[str, Any]]] = [
    {"a": {"kernel_shape": "cross", "binary_basis": 8, "scale": False}, "b": KEEP},
    {
        "a": {"kernel_shape": "learned", "density": 0.25},
        "b": {"kernel_shape": "point", "groups": 4, "channel_stride": "4/8", "separable": True},
    },
]


def entry(trial: int, accuracy: float, latency: float, spec: dict[str, dict[str, Any]]) -> Entry:
    return Entry(
        id=f"{trial:012x}",
        trial=trial,
        feasible=True,
        metrics={
            "accuracy": Estimate(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02),
            "latency_ms": Estimate(value=latency, low=latency, high=latency),
        },
        spec=spec,
        description="",
        redesigned=sum(dials != KEEP for dials in spec.values()),
        fallbacks=trial,
    )


@pytest.fixture
def study() -> Front:
    baseline = entry(0, 0.95, 2.0, {"a": KEEP, "b": KEEP})
    return Front(
        study="s",
        space="s",
        objectives={"accuracy": "maximize", "latency_ms": "minimize"},
        units={"accuracy": "fraction", "latency_ms": "ms"},
        entries=(baseline, entry(1, 0.96, 1.5, SPECS[0]), entry(2, 0.90, 0.5, SPECS[1])),
        baseline=baseline.id,
        reference={"accuracy": 0.855, "latency_ms": 2.2},
        conditions={},
    )


def test_the_paragraph_counts_dials_and_compares_values(study: Front) -> None:
    dials, equal, lowest, undecided = findings(study).rstrip(".").split(". ")
    start, *shares = dials.partition("; ")[0].split(", ")
    assert start == "The 2 designs on the front redesign 3 of 4 slots: 33% have a separable form"
    assert len(shares) == 5 and all(share.startswith("33% have ") for share in shares)
    assert dials.partition("; ")[2].startswith("3 of them")
    assert equal.endswith("latency decreases to 75% (#1)")
    assert lowest.endswith("latency decreases to 25% (#2, accuracy 90.0 %)")
    assert undecided.startswith("In accuracy, 1 of 2 designs cannot be distinguished")


@pytest.mark.parametrize(
    ("dials", "phrase"),
    [
        ({"groups": 4, "channel_stride": "8/8"}, "a sliding channel window"),
        ({"groups": 4, "channel_stride": "block"}, "a sliding channel window"),
        ({"kernel_shape": "point", "separable": True}, "a sparse kernel shape"),
        ({"kernel_shape": "learned", "density": 0.5}, "a sparse kernel shape"),
        ({"kernel_shape": "cross"}, "several groups"),
        ({"groups": 2}, "a binary basis"),
    ],
)
def test_properties_that_no_slot_has_are_not_mentioned(
    study: Front, dials: dict[str, Any], phrase: str
) -> None:
    only = entry(3, 0.99, 0.1, {"a": dials, "b": KEEP})
    text = findings(dataclasses.replace(study, entries=(study.entries[0], only)))
    assert "redesign 1 of 2 slots" in text
    assert phrase not in text


def test_a_front_of_the_baseline_alone(study: Front) -> None:
    text = findings(dataclasses.replace(study, entries=study.entries[:1]))
    assert text.startswith("No slot of any design on the front is redesigned.")


def test_no_findings_without_a_front_or_a_baseline(infeasible: Front, incomplete: Front) -> None:
    assert findings(infeasible) == findings(incomplete) == ""


def test_objectives_of_one_kind_only(one: Front) -> None:
    assert "decreases" not in findings(one)
