"""Candidates share what the database holds for a device, and what is learned is stored there."""

from pathlib import Path

from dsx.conv.deploy import Choice
from dsx.measure import this_device
from dsx.search.candidates import Candidates
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.measurements.measurements import MeasurementStore
from tests.search.spaces import TINY


def test_candidates_share_forms_and_references_with_the_database(tmp_path: Path) -> None:
    measurements = MeasurementStore(
        open_database(f"sqlite:///{tmp_path}/dsx.db", True), this_device()
    )
    space, waits = load_space(TINY), list[str]()
    first = Candidates.of(measurements, lambda: waits.append("waiting"))
    choice = Choice(form="dense", seconds={"dense": 1.0})
    first.forms["{}"] = choice
    built = first.build(space, space.baseline, tmp_path / "checkpoint")
    assert built.waiting is not None
    built.waiting()
    assert waits == ["waiting"]
    assert built.checkpoint == tmp_path / "checkpoint"
    assert Candidates.of(measurements).build(space, space.baseline).form_cache["{}"] == choice
