"""Loading the front of a study and selecting the study."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from dsx import front, search
from dsx.analysis import TrialState
from dsx.errors import StorageError
from dsx.measure import Measurement, this_device
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.read import load_front, load_values
from dsx.store.studies.study import Study, find_study
from tests.search.looking import moved, trials
from tests.search.spaces import STATIC, TIMED, varied


def test_the_newest_study_is_the_default(finished: str) -> None:
    assert front(storage=finished).study == "tiny"
    assert front("static", storage=finished).study == "static"


def test_an_unknown_study_is_rejected_with_the_nearest_match(finished: str) -> None:
    with pytest.raises(StorageError, match=r"'statc' \(allowed: static, tiny\).*'static'\?$"):
        front("statc", storage=finished)


def test_a_database_without_studies_is_rejected(storage: str) -> None:
    engine = open_database(storage, create=True)
    with pytest.raises(StorageError, match="no study yet"):
        find_study(engine, None)


def test_the_front_has_the_objectives_of_the_space(finished: str) -> None:
    found, space = front("static", storage=finished), load_space(STATIC)
    assert found.space == "static"
    assert dict(found.objectives) == dict(space.file.objectives)
    assert found.baseline == space.baseline.id
    assert found.units.keys() == {"params", "flops", "bits"}


def test_all_completed_designs_are_loaded_in_order(finished: str) -> None:
    found, space = front("static", storage=finished), load_space(STATIC)
    complete = [row for row in trials(finished, "static") if row.state == TrialState.COMPLETE]
    assert [(entry.trial, entry.id) for entry in found.entries] == [
        (row.number, row.design) for row in complete
    ]
    for entry in found.entries:
        assert len(entry.spec) == len(space.analysis.slots)
        kept = [dials for dials in entry.spec.values() if dials == {"kernel_shape": "keep"}]
        assert entry.redesigned == len(entry.spec) - len(kept)
        assert entry.fallbacks is None
        assert entry.description


def test_a_front_loaded_while_the_first_design_is_completed_has_its_reference(storage: str) -> None:
    search(STATIC, trials=1, storage=storage)
    with Session(open_database(storage, create=True)) as session, session.begin():
        reference = dict(session.get_one(StudyRow, "static").reference)
        session.get_one(StudyRow, "static").reference = {}
    study = Study.open(storage, "static")

    def complete(*arguments: object) -> None:
        # The trials have been read, and the row of the study has not.
        if "FROM dsx_trials" not in str(arguments[2]):
            return
        with Session(open_database(storage, create=True)) as session, session.begin():
            session.get_one(StudyRow, "static").reference = reference

    event.listen(study.engine, "after_cursor_execute", complete)
    found = load_front(study)
    assert len(found.entries) == 1 and found.reference == reference


def test_a_device_without_a_row_is_reported(storage: str) -> None:
    one, two = (entry.id for entry in search(STATIC, trials=2, storage=storage).entries)
    other = moved(storage, "static", [two])
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as connection:
        connection.execute("DELETE FROM dsx_devices WHERE fingerprint = ?", [other])
        connection.commit()
    assert [entry.id for entry in front("static", storage=storage).entries] == [one]
    with pytest.raises(StorageError, match=f"damaged: dsx_devices has no row '{other}'"):
        front("static", storage=storage, mix_devices=True)


def test_the_conditions_describe_device_and_settings(storage: str) -> None:
    found = search(TIMED, trials=2, storage=storage)
    conditions = dict(found.conditions)
    # A network has several readings if the machine was loaded during the first one.
    conditions.pop("A/A check", None)
    assert conditions.keys() == {
        *("device", "versions", "backend", "batch", "dtype", "threads", "deploy", "created")
    }
    assert (conditions["batch"], conditions["dtype"]) == ("1", "float32")
    assert all(entry.fallbacks is not None for entry in found.entries)
    assert found.entries[0].fallbacks == 0


def test_measurements_of_other_studies_are_excluded(finished: str) -> None:
    found = front("static", storage=finished)
    assert all(entry.metrics.keys() == {"params", "flops", "bits"} for entry in found.entries)


def test_uncounted_operators_are_reported(storage: str, tmp_path: Path) -> None:
    model = "model: tests.search.models:Transforming\nmodel_args: {}\n"
    space = varied(STATIC, tmp_path, "model: small_cnn\nmodel_args: {width: 4}\n", model)
    found = search(space, trials=1, storage=storage)
    assert "aten::_fft_r2c (1)" in found.conditions["flops"]


def test_designs_measured_on_other_devices_are_excluded_and_counted(copied: str) -> None:
    before = front("static", storage=copied)
    assert before.devices == {} and "left out" not in before.conditions
    gone = [entry.id for entry in before.entries[2:4]]
    moved(copied, "static", gone)
    found = front("static", storage=copied)
    assert [entry.id for entry in found.entries] == [
        entry.id for entry in before.entries if entry.id not in gone
    ]
    assert found.conditions["left out"] == (
        "2 designs were measured on other devices only (mix_devices=True includes them)"
    )
    assert found.devices == {}
    moved(copied, "static", [before.entries[1].id])
    assert front("static", storage=copied).conditions["left out"].startswith("3 designs were")


def test_devices_are_mixed_on_request(copied: str) -> None:
    before = front("static", storage=copied)
    there = before.entries[2].id
    other = moved(copied, "static", [there])
    found = front("static", storage=copied, mix_devices=True)
    assert found.on_front == tuple(
        dataclasses.replace(entry, device=other) if entry.id == there else entry
        for entry in before.on_front
    )
    own = before.entries[0].device
    assert {entry.id: entry.device for entry in found.entries} == {
        entry.id: other if entry.id == there else own for entry in before.entries
    }
    assert found.devices == {own: 1, other: 2}
    assert found.conditions["device"].startswith("2 devices mixed: ")
    assert "4096 cores" in found.conditions["device 2"]
    assert "4096 cores" not in found.conditions["device 1"]
    assert "left out" not in found.conditions
    # With a single device, mixing devices has no effect.
    assert front("tiny", storage=copied, mix_devices=True) == front("tiny", storage=copied)


def test_the_estimates_of_a_design_are_from_one_device(copied: str) -> None:
    before = front("tiny", storage=copied)
    engine = open_database(copied, create=True)
    measurements = MeasurementStore(engine, dataclasses.replace(this_device(), cores=4096))
    study, design = find_study(engine, "tiny"), before.entries[1].id
    params = study.metrics["params"]["protocol"]
    measurements.add(design, "params", params, Measurement(value=1.0, low=1.0, high=1.0))
    # The other device lacks the accuracy, and the device of the study has all objectives.
    for mix in (False, True):
        assert front("tiny", storage=copied, mix_devices=mix) == before
    accuracy = study.metrics["accuracy"]["protocol"]
    measurements.add(design, "accuracy", accuracy, Measurement(value=1.0, low=0.9, high=1.0))
    assert front("tiny", storage=copied, mix_devices=True) == before


def test_all_designs_have_estimates(copied: str) -> None:
    values = load_values(Study.open(copied, "static"))
    drawn = {row.design for row in trials(copied, "static")}
    assert values.keys() == drawn
    found = front("static", storage=copied)
    assert len(values) > len(found.entries)
    assert all(values[entry.id] == entry.metrics for entry in found.entries)
    there = moved(copied, "static", [found.entries[1].id])
    assert found.entries[1].id not in load_values(Study.open(copied, "static"))
    assert there != found.entries[1].device
