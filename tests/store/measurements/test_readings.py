"""Selection of the stored readings of a study, including those of other training seeds."""

import dataclasses
import json
from typing import Any

import pytest
from sqlalchemy.orm import Session

from dsx import front
from dsx.analysis.aggregate import row_number
from dsx.analysis.front import Front
from dsx.measure import Measurement, Provenance, this_device
from dsx.store.database.engine import open_database
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.measurements.readings import load_measurements, load_own_estimates, load_readings
from dsx.store.studies.study import find_study
from tests.search.looking import moved

READING = Measurement(value=0.5, low=0.45, high=0.55)


class Again:
    """The study `tiny` in a copy of its database, whose designs can be measured again."""

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.measurements = MeasurementStore(open_database(storage, create=True), this_device())

    @property
    def study(self) -> StudyRow:
        return find_study(self.measurements.engine, "tiny")

    def settings(self, metric: str, **train: Any) -> dict[str, Any]:
        """Return the settings of a metric with changed settings of the training."""
        settings = json.loads(json.dumps(self.study.metrics[metric]["settings"]))
        settings["train"] |= train
        return dict(settings)

    def measure(self, design: str, metric: str, reading: Measurement, **train: Any) -> None:
        protocol = self.measurements.add_protocol(metric, self.settings(metric, **train))
        self.measurements.add(design, metric, protocol, reading)

    @property
    def front(self) -> Front:
        return front("tiny", storage=self.storage)


@pytest.fixture
def again(copied: str) -> Again:
    return Again(copied)


def test_the_same_seed_has_the_same_protocol(again: Again) -> None:
    own = again.study.metrics["accuracy"]["protocol"]
    assert again.measurements.add_protocol("accuracy", again.settings("accuracy")) == own


def test_readings_of_several_seeds_are_averaged(again: Again) -> None:
    before = again.front.entries[1]
    again.measure(before.id, "accuracy", READING, seed=1)
    again.measure(before.id, "accuracy", dataclasses.replace(READING, value=0.46), seed=2)
    found = again.front.entries[1].metrics["accuracy"]
    assert found.value == pytest.approx((before.metrics["accuracy"].value + 0.5 + 0.46) / 3)
    assert (found.seeds, found.readings) == (3, 3)
    assert found.low < found.value < found.high
    others = [entry.metrics["accuracy"].seeds for entry in again.front.entries if entry.trial != 1]
    assert set(others) == {1}


def test_another_training_has_another_family(again: Again) -> None:
    before = again.front
    again.measure(before.entries[1].id, "accuracy", READING, epochs=9)
    assert again.front == before


def test_a_repeated_training_replaces_the_first(again: Again) -> None:
    again.measure(again.front.entries[1].id, "accuracy", READING)
    found = again.front.entries[1].metrics["accuracy"]
    assert (found.value, found.seeds, found.readings) == (0.5, 1, 1)


def test_sampled_readings_are_aggregated_with_their_conditions(again: Again) -> None:
    design = again.front.entries[1].id
    for value, noisy in ((0.4, False), (0.9, True), (0.6, False)):
        reading = Measurement(
            value=value, low=0.3, high=1.0, samples=(value,) * 3, provenance=Provenance(noisy=noisy)
        )
        again.measure(design, "accuracy", reading)
    found = again.front.entries[1].metrics["accuracy"]
    assert (found.value, found.readings, found.noisy) == (0.5, 2, False)


def test_every_reading_has_its_provenance(again: Again) -> None:
    study, engine = again.study, again.measurements.engine
    taken = load_measurements(engine, study)
    numbers = {
        (entry.id, name): v.value
        for entry in again.front.entries
        for name, v in entry.metrics.items()
    }
    assert {(number.design, number.metric): number.value for number in taken} == numbers
    trained = [number for number in taken if number.metric == "accuracy"]
    predictions = [number.provenance.predictions for number in trained]
    assert all(one is not None and one.losses and len(one.losses) == 1 for one in predictions)
    assert {number.seed for number in trained} == {0}
    assert {number.seed for number in taken if number.metric != "accuracy"} == {None}
    assert all(number.sample_count == 0 for number in taken)
    design = again.front.entries[1].id
    again.measure(design, "accuracy", dataclasses.replace(READING, samples=(0.5, 0.6)), seed=7)
    other = moved(again.storage, "tiny", [again.front.entries[2].id])
    more = load_measurements(engine, study)
    assert len(more) == len(taken) + 1
    assert (more[-1].seed, more[-1].sample_count, more[-1].value) == (7, 2, 0.5)
    assert {number.device for number in more} == {this_device().fingerprint, other}


def test_own_estimates_are_those_of_the_weights(again: Again) -> None:
    entry = again.front.entries[1]
    again.measure(entry.id, "accuracy", READING, seed=1)
    own = load_own_estimates(again.measurements.engine, again.study, entry.id, entry.device)
    assert own == dict(entry.metrics)
    again.measure(entry.id, "accuracy", READING)
    newer = load_own_estimates(again.measurements.engine, again.study, entry.id, entry.device)
    assert newer["accuracy"].value == 0.5
    assert newer | {"accuracy": own["accuracy"]} == own
    assert load_own_estimates(again.measurements.engine, again.study, entry.id, "elsewhere") == {}


def test_readings_are_in_the_order_in_which_they_were_taken(again: Again) -> None:
    design = again.front.entries[1].id
    again.measure(design, "accuracy", READING, seed=1)
    with Session(again.measurements.engine) as session:
        readings = load_readings(session, again.study)[design][this_device().fingerprint]
    assert [reading.number for reading in readings] == sorted(map(row_number, readings))
    assert (readings[-1].metric, readings[-1].seed) == ("accuracy", 1)
