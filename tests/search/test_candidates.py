"""Candidates use and extend the stored form cache and reference times of a device."""

from pathlib import Path

from dsx.activity import Event, Kind
from dsx.conv.deploy import Choice
from dsx.measure import this_device
from dsx.search.candidates import Candidates, lock_wait
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.measurements.calibration import Calibration
from dsx.store.measurements.measurements import FormCache, MeasurementStore
from tests.search.spaces import TINY


def opened(measurements: MeasurementStore, events: list[Event]) -> Candidates:
    return Candidates(
        form_cache=FormCache(measurements),
        reference_times=Calibration(measurements),
        on_lock_wait=lock_wait(events.append),
    )


def test_candidates_share_forms_and_references_with_the_database(tmp_path: Path) -> None:
    measurements = MeasurementStore(
        open_database(f"sqlite:///{tmp_path}/dsx.db", True), this_device()
    )
    space, events = load_space(TINY), list[Event]()
    first = opened(measurements, events)
    choice = Choice(form="dense", seconds={"dense": 1.0})
    first.form_cache["{}"] = choice
    built = first.build(space, space.baseline, tmp_path / "checkpoint")
    assert built.on_lock_wait is not None
    built.on_lock_wait()
    assert events == [Event(kind=Kind.WAITING_FOR_DEVICE)]
    assert built.checkpoint == tmp_path / "checkpoint"
    assert opened(measurements, events).build(space, space.baseline).form_cache["{}"] == choice
