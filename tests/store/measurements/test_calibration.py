"""Reference times, which a database and the cache of the machine exchange."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from dsx.errors import WorkFailed
from dsx.measure import this_device
from dsx.measure.timing import device_lock as lock
from dsx.measure.timing import reference_workload as reference_workload
from dsx.measure.timing.interleaved import time_interleaved
from dsx.space.yaml.schema import Measure
from dsx.store.database.engine import open_database
from dsx.store.database.schema import ReferenceTimeRow
from dsx.store.measurements.calibration import FILE, Calibration, MachineReferenceTimes
from dsx.store.measurements.measurements import MeasurementStore
from tests.measure.crowd import Other
from tests.search.looking import rows

DEVICE = this_device().fingerprint


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the reference times in the cache of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dsx" / FILE


@pytest.fixture
def engine(storage: str) -> Engine:
    return open_database(storage, create=True)


def of(engine: Engine) -> Calibration:
    return Calibration(MeasurementStore(engine, this_device()))


def stored(storage: str) -> dict[str, float]:
    return {row.situation: row.milliseconds for row in rows(storage, ReferenceTimeRow)}


def test_a_new_reference_time_is_stored_in_database_and_cache(
    storage: str, engine: Engine, file: Path
) -> None:
    reference_times = of(engine)
    assert (len(reference_times), list(reference_times), "a" in reference_times) == (0, [], False)
    reference_times["a"] = 0.25
    assert reference_times["a"] == 0.25
    assert stored(storage) == {"a": 0.25}
    assert json.loads(file.read_text()) == {DEVICE: {"a": 0.25}}
    assert [other.name for other in file.parent.iterdir()] == [FILE]
    assert MachineReferenceTimes(DEVICE) == {"a": 0.25}


def test_reference_times_of_concurrent_processes_are_kept() -> None:
    def learn(first: int) -> None:
        for number in range(first, 40, 4):
            MachineReferenceTimes(DEVICE)[str(number)] = 0.25

    # A lock belongs to an open file, so that threads exclude each other like processes.
    with ThreadPoolExecutor() as pool:
        list(pool.map(learn, range(4)))
    assert len(MachineReferenceTimes(DEVICE)) == 40


def test_a_later_process_uses_the_reference_time_of_the_database(
    storage: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    late = of(engine)
    of(engine)["a"] = 0.25
    # As on another machine of the same kind with an empty cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    late["a"] = 0.5
    assert late["a"] == 0.25
    assert stored(storage) == {"a": 0.25}
    assert MachineReferenceTimes(DEVICE) == {"a": 0.5}


def test_a_reference_time_stored_by_another_machine_in_the_meantime_is_used(
    storage: str, engine: Engine
) -> None:
    late, other = of(engine), open_database(storage, create=True)

    def be_first(*arguments: object) -> None:
        if "INSERT INTO dsx_reference_times" in str(arguments[2]):
            with Session(other) as session, session.begin():
                session.add(ReferenceTimeRow(device=DEVICE, situation="a", milliseconds=0.25))

    event.listen(engine, "before_cursor_execute", be_first)
    late["a"] = 0.5
    assert late["a"] == 0.25
    assert stored(storage) == {"a": 0.25}


def test_the_database_takes_precedence_over_the_cache(storage: str, engine: Engine) -> None:
    of(engine)["a"] = 0.25
    MachineReferenceTimes(DEVICE)["a"] = 0.5
    assert of(engine)["a"] == 0.25
    assert stored(storage) == {"a": 0.25}
    # The cache of the machine is unchanged.
    assert MachineReferenceTimes(DEVICE) == {"a": 0.5}


def test_a_new_database_copies_and_keeps_the_reference_time_of_the_machine(
    storage: str, engine: Engine, file: Path
) -> None:
    MachineReferenceTimes(DEVICE)["a"] = 0.5
    reference_times = of(engine)
    assert ("a" in reference_times, list(reference_times), len(reference_times)) == (True, ["a"], 1)
    assert reference_times["a"] == 0.5
    assert stored(storage) == {"a": 0.5}
    file.unlink()
    assert of(engine)["a"] == 0.5


def test_devices_and_situations_are_distinguished(engine: Engine) -> None:
    MachineReferenceTimes("another")["a"] = 9.0
    of(engine)["b"] = 0.25
    assert MachineReferenceTimes("another") == {"a": 9.0}
    assert MachineReferenceTimes(DEVICE) == {"b": 0.25}
    assert "a" not in of(engine)


def test_a_read_only_database_is_not_written(storage: str, engine: Engine) -> None:
    # A foreign device's row would need that device to be known.
    reference_times = Calibration(MeasurementStore(engine, this_device(), read_only=True))
    reference_times["a"] = 0.25
    assert reference_times["a"] == 0.25
    assert stored(storage) == {}
    assert MachineReferenceTimes(DEVICE) == {"a": 0.25}


def test_a_damaged_reference_time_is_replaced(engine: Engine, storage: str) -> None:
    of(engine)["a"] = 0.25
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dsx_reference_times SET milliseconds = 'soon'")
    reference_times = of(engine)
    reference_times["a"] = 0.5
    assert reference_times["a"] == 0.5
    assert stored(storage) == {"a": 0.5}


def test_a_reference_time_is_never_deleted(engine: Engine) -> None:
    for reference_times in (of(engine), MachineReferenceTimes(DEVICE)):
        reference_times["a"] = 0.25
        with pytest.raises(TypeError, match="is not deleted"):
            del reference_times["a"]
        assert reference_times["a"] == 0.25


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"d": 1}', '{"d": {"a": "soon"}}', '{"d": {"a": 0}}', '{"d": {"a": NaN}}',
     "\udcff"],
)  # fmt: skip
def test_a_damaged_file_is_a_one_line_error(engine: Engine, file: Path, content: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content.encode(errors="surrogateescape"))
    one_line = r"^[^\n]*reference_times\.json is damaged \(delete it; [^\n]+$"
    reference_times = of(engine)
    with pytest.raises(WorkFailed, match=one_line):
        _ = "a" in reference_times
    with pytest.raises(WorkFailed, match=one_line):
        reference_times["a"] = 0.25


def test_an_unreadable_file_is_a_one_line_error(engine: Engine, file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(WorkFailed, match=r"^[^\n]*reference_times\.json cannot be read: [^\n]+$"):
        _ = "a" in of(engine)
    file.rmdir()
    file.parent.rmdir()
    file.parent.write_text("in the way")
    with pytest.raises(WorkFailed, match=r"^[^\n]*reference_times\.json cannot be [^\n]+$"):
        MachineReferenceTimes(DEVICE)["a"] = 0.25


def calibrate(line: Connection, folder: Path, storage: str) -> None:
    """Time something in a situation whose reference time is not stored yet."""
    # A process that was forked earlier has an older environment.
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    lock.FOLDER = folder
    reference_workload.CALIBRATION_CALLS = 30
    reference_times = of(open_database(storage, create=True))
    line.send("ready")
    line.recv()
    time_interleaved([lambda: None], Measure(budget_seconds=0.01), reference_times)
    line.send(dict(reference_times))


def test_concurrent_calibrations_agree_on_one_reference_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    storages = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "one", "other")]
    # The database is created before the processes start.
    for storage in storages:
        of(open_database(storage, create=True))
    others = [Other(calibrate, tmp_path, storage) for storage in storages]
    for other in others:
        assert other.hear() == "ready"
    for other in others:
        other.say("go")
    found = []
    for other in others:
        with other:
            found.append(other.hear())
    assert len(found[0]) == 1
    assert found[1:] == found[:1] * 2
    assert [stored(storage) for storage in storages] == found
