"""What a study found, in a paragraph: counted by hand."""

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


def test_the_paragraph_is_counted_from_the_front(study: Front) -> None:
    assert findings(study) == (
        "The 2 designs of the front redesign 3 of their 4 slots: 33% have a depthwise stage in "
        "front, 33% have a sparse kernel shape, 33% have learned shapes, 33% have several groups, "
        "33% have a sliding window, 33% have a binary basis; 3 of them are deployed in their dense "
        "form. At the baseline's accuracy or more, latency comes down to 75% (#1). At any accuracy "
        "on the front, latency comes down to 25% (#2, accuracy 90.0 %). In accuracy 1 of the 2 "
        "cannot be told from the baseline: its value lies in their intervals."
    )


@pytest.mark.parametrize(
    ("dials", "phrase"),
    [
        ({"groups": 4, "channel_stride": "8/8"}, "a sliding window"),
        ({"groups": 4, "channel_stride": "block"}, "a sliding window"),
        ({"kernel_shape": "point", "separable": True}, "a sparse kernel shape"),
        ({"kernel_shape": "learned", "density": 0.5}, "a sparse kernel shape"),
        ({"kernel_shape": "cross"}, "several groups"),
        ({"groups": 2}, "a binary basis"),
    ],
)
def test_what_a_slot_has_not_is_not_said(study: Front, dials: dict[str, Any], phrase: str) -> None:
    only = entry(3, 0.99, 0.1, {"a": dials, "b": KEEP})
    said = findings(dataclasses.replace(study, entries=(study.entries[0], only)))
    assert "redesign 1 of their 2 slots" in said
    assert phrase not in said


def test_a_front_of_the_baseline_alone(study: Front) -> None:
    said = findings(dataclasses.replace(study, entries=study.entries[:1]))
    assert said.startswith("No slot of any design on the front is redesigned.")


def test_nothing_to_say_without_a_front_or_a_baseline(hopeless: Front, ragged: Front) -> None:
    assert findings(hopeless) == findings(ragged) == ""


def test_objectives_of_one_kind_only(one: Front) -> None:
    assert "comes down" not in findings(one)
