"""Descriptions of the conditions of a front."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

import pytest

from dsx.analysis.front import Entry
from dsx.analysis.measurement import Measurement, OperatorCount, Provenance
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.readings import DeployedAs
from dsx.store.studies.conditions import (
    excluded_designs_note,
    measurement_conditions,
    number_devices,
    uncounted_operators,
    unfolded_note,
)

FACTS = {
    name: {
        "processor": processor,
        "cores": 2,
        "memory_gib": 24,
        "system": "Linux",
        "python": "3.11",
        "torch": "2.13",
    }
    for name, processor in (("a", "Xeon"), ("b", "EPYC"), ("c", "M4"))
}


@pytest.fixture
def study() -> StudyRow:
    timing = {"batch": 8, "dtype": "float32", "target": 0.05}
    return StudyRow(
        name="s",
        device="b",
        metrics={"latency_ms": {"stage": "timed", "settings": timing}},
        created_at=datetime(2026, 1, 2),
    )


def entries(*devices: str) -> Iterator[Entry]:
    for trial, device in enumerate(devices):
        yield Entry(
            id=str(trial),
            trial=trial,
            feasible=False,
            metrics={},
            spec={},
            description="",
            redesigned=0,
            fallbacks=None,
            device=device,
        )


def test_one_device_is_described_with_its_settings(study: StudyRow) -> None:
    assert number_devices(study, list(entries("b", "b"))) == {}
    assert measurement_conditions(study, FACTS, {}) == {
        "device": "EPYC, 2 cores, 24 GiB",
        "versions": "Linux, Python 3.11, torch 2.13",
        "batch": "8",
        "dtype": "float32",
        "created": "2026-01-02 00:00 UTC",
    }


def test_the_device_of_the_study_is_the_first_of_several(study: StudyRow) -> None:
    numbers = number_devices(study, list(entries("c", "a", "b", "a")))
    assert numbers == {"b": 1, "a": 2, "c": 3}
    conditions = measurement_conditions(study, FACTS, numbers)
    names = ["device", "device 1", "device 2", "device 3", "batch", "dtype", "created"]
    assert list(conditions) == names
    assert conditions["device"].startswith("3 devices mixed: ")
    assert conditions["device 2"] == "Xeon, 2 cores, 24 GiB; Linux, Python 3.11, torch 2.13"
    # The device of the study is number 1 even if no design was measured on it.
    assert number_devices(study, list(entries("a"))) == {"b": 1, "a": 2}


def test_the_number_of_excluded_designs_is_reported() -> None:
    assert excluded_designs_note(0) == {}
    assert excluded_designs_note(1)["left out"].startswith(
        "1 design was measured on other devices only"
    )
    assert excluded_designs_note(2)["left out"].startswith("2 designs were measured")


def test_unfolded_batch_norms_are_counted() -> None:
    assert unfolded_note(None) == {}
    deployed = DeployedAs(subject="a", forms={}, folded=3)
    assert unfolded_note(deployed) == {}
    assert unfolded_note(dataclasses.replace(deployed, unfolded=1)) == {
        "batch norms": "1 of 4 is not folded into a convolution for timing"
    }


def checked(count: int) -> Provenance:
    return Provenance(operators=OperatorCount(counted_by_operator=count))


def test_deviations_from_the_operator_counter_are_reported() -> None:
    count = Measurement(number=1, metric="flops", value=1000.0, low=1000.0, high=1000.0)
    assert uncounted_operators([]) == uncounted_operators([count]) == {}
    same = dataclasses.replace(count, provenance=checked(1000))
    more = dataclasses.replace(count, provenance=checked(1010))
    assert uncounted_operators([more, same]) == {}
    note = uncounted_operators([same, more])["flops"]
    assert "fvcore counts 1,010" in note and "dsx 1,000" in note
