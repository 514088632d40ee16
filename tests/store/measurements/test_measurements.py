"""Storing and finding measurements, deployments and forms, also concurrently."""

import dataclasses
import json
import threading

import pytest
from sqlalchemy import Engine

from dsx.analysis import ExampleResults
from dsx.analysis.measurement import DeploymentFacts
from dsx.conv.deploy import Choice
from dsx.lookup import find
from dsx.measure import Device, Measurement, Metric, Provenance, this_device
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import DesignRow, DeviceRow, FormRow, ProtocolRow
from dsx.store.measurements.measurements import Deployment, FormCache, MeasurementStore
from tests.search.looking import rows
from tests.search.spaces import STATIC, TINY

READING = Measurement(
    value=2.0,
    low=1.5,
    high=2.5,
    samples=(1.5, 2.0, 2.5),
    examples=ExampleResults.of([1.0, 0.0, 0.5], "these"),
    provenance=Provenance(details={"load": 0.5}),
)


@pytest.fixture
def engine(storage: str) -> Engine:
    return open_database(storage, create=True)


@pytest.fixture
def measurements(engine: Engine) -> MeasurementStore:
    measurements = MeasurementStore(engine, this_device())
    space = load_space(STATIC)
    measurements.add_design(space.baseline, "as it is")
    return measurements


@pytest.fixture
def baseline() -> str:
    return load_space(STATIC).baseline.id


@pytest.fixture
def protocol(measurements: MeasurementStore) -> str:
    return measurements.add_protocol(
        "accuracy", find(Metric, "accuracy").protocol(load_space(TINY))
    )


def other_device() -> Device:
    return dataclasses.replace(this_device(), cores=4096)


def test_a_measurement_is_found_as_it_was_stored(
    measurements: MeasurementStore, baseline: str, protocol: str
) -> None:
    assert measurements.find(baseline, "accuracy", protocol) is None
    stored = measurements.add(baseline, "accuracy", protocol, READING)
    found = measurements.find(baseline, "accuracy", protocol)
    assert found is not None and found.number is not None
    assert dataclasses.replace(found, samples=tuple(found.samples), number=None) == stored
    identity = {
        "design": baseline,
        "subject": baseline,
        "metric": "accuracy",
        "protocol": protocol,
        "device": measurements.device,
        "measured_at": stored.measured_at,
    }
    assert stored == dataclasses.replace(READING, **identity)  # type: ignore[arg-type]


def test_the_newest_measurement_is_found(
    measurements: MeasurementStore, baseline: str, protocol: str
) -> None:
    measurements.add(baseline, "accuracy", protocol, READING)
    measurements.add(baseline, "accuracy", protocol, dataclasses.replace(READING, value=2.25))
    found = measurements.find(baseline, "accuracy", protocol)
    assert found is not None
    assert found.value == 2.25


def test_a_measurement_under_another_protocol_is_not_found(
    engine: Engine, measurements: MeasurementStore, baseline: str, protocol: str
) -> None:
    measurements.add(baseline, "accuracy", protocol, READING)
    assert measurements.find("another", "accuracy", protocol) is None
    assert measurements.find(baseline, "params", protocol) is None
    assert measurements.find(baseline, "accuracy", "another") is None
    assert MeasurementStore(engine, other_device()).find(baseline, "accuracy", protocol) is None


def test_a_protocol_is_identified_by_its_settings(
    storage: str, measurements: MeasurementStore, protocol: str, tmp_path: object
) -> None:
    metric = find(Metric, "accuracy")
    space = load_space(TINY)
    assert measurements.add_protocol("accuracy", metric.protocol(space)) == protocol
    train = space.file.train.model_copy(update={"epochs": 2})
    longer = dataclasses.replace(space, file=space.file.model_copy(update={"train": train}))
    other = measurements.add_protocol("accuracy", metric.protocol(longer))
    assert other != protocol
    stored = {row.id: row for row in rows(storage, ProtocolRow)}
    assert stored.keys() == {protocol, other}
    assert stored[other].settings["train"]["epochs"] == 2


def test_a_design_and_a_device_are_stored_once(
    storage: str, measurements: MeasurementStore
) -> None:
    again = MeasurementStore(measurements.engine, this_device())
    again.add_design(load_space(STATIC).baseline, "as it is")
    (device,) = rows(storage, DeviceRow)
    (design,) = rows(storage, DesignRow)
    assert device.fingerprint == this_device().fingerprint
    assert again.facts(device.fingerprint) == dataclasses.asdict(this_device())
    assert (design.model, design.description) == ("small_cnn", "as it is")


def test_concurrent_writers_of_the_same_row(storage: str, engine: Engine) -> None:
    problems: list[Exception] = []
    together = threading.Barrier(8)

    def write() -> None:
        own = open_database(storage, create=True)
        together.wait()
        try:
            for _ in range(20):
                MeasurementStore(own, other_device())
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(rows(storage, DeviceRow)) == 1


def test_forms_are_available_to_later_processes_on_the_device(
    storage: str, engine: Engine, measurements: MeasurementStore
) -> None:
    situation = json.dumps({"spec": "cross"})
    known = FormCache(measurements)
    assert situation not in known
    known[situation] = Choice(form="split", seconds={"split": 1e-5, "dense": 2e-5})
    later = FormCache(measurements)
    assert later[situation] == known[situation]
    assert (len(later), len(list(later))) == (1, 1)
    assert FormCache(MeasurementStore(engine, other_device())).get(situation) is None
    later[situation] = Choice(form="dense", seconds={"dense": 1e-5})
    assert [(row.form, row.facts) for row in rows(storage, FormRow)] == [
        ("dense", {"spec": "cross"})
    ]


def test_forms_of_a_read_only_database_are_not_stored(
    storage: str, engine: Engine, measurements: MeasurementStore
) -> None:
    known = FormCache(MeasurementStore(engine, this_device(), read_only=True))
    known["{}"] = Choice(form="dense", seconds={})
    assert known["{}"].form == "dense"
    assert rows(storage, FormRow) == []


def test_a_form_is_not_deleted(engine: Engine, measurements: MeasurementStore) -> None:
    with pytest.raises(TypeError, match="not deleted"):
        del FormCache(measurements)["{}"]


def test_measurements_require_a_stored_design(
    measurements: MeasurementStore, protocol: str
) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        measurements.add("unknown", "accuracy", protocol, READING)
    with measurements.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM dsx_measurements").all() == []


def test_a_damaged_deployment_is_replaced_and_no_reading_is_lost(storage: str) -> None:
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    design = load_space(STATIC).baseline
    measurements.add_design(design, "description")
    protocol = measurements.add_protocol("latency_ms", {})
    one, other = (
        Deployment(subject=subject, protocol=protocol, facts=DeploymentFacts()) for subject in "ab"
    )
    measurements.add(
        design.id, "latency_ms", protocol, dataclasses.replace(READING, value=1.75), one
    )
    with measurements.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dsx_deployments SET facts = 'nonsense'")
    assert measurements.deployed(design.id, protocol) is None
    measurements.add(design.id, "latency_ms", protocol, READING, other)
    assert measurements.deployed(design.id, protocol) == "b"
    found = measurements.find("b", "latency_ms", protocol)
    assert found is not None and found.value == 2.0
