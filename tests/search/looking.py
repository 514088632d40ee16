"""Helpers that read a database and follow the progress of a search."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import inspect, select, update
from sqlalchemy.orm import Session

from dsx.activity import Activity, End, Kind, activity
from dsx.measure import this_device
from dsx.search.loop import Progress
from dsx.store.database.engine import open_database
from dsx.store.database.schema import Base, DeploymentRow, MeasurementRow, TrialRow
from dsx.store.measurements.measurements import MeasurementStore

Row = TypeVar("Row", bound=Base)


def rows(storage: str, table: type[Row]) -> list[Row]:
    """Read all rows of a table in the order of their keys."""
    key = inspect(table).primary_key
    with Session(open_database(storage, create=False), expire_on_commit=False) as session:
        return list(session.scalars(select(table).order_by(*key)))


def trials(storage: str, study: str) -> list[TrialRow]:
    """Read the trials of a study in order."""
    return [row for row in rows(storage, TrialRow) if row.study == study]


def states(storage: str, study: str) -> Counter[str]:
    """Count the trials of a study by their state."""
    return Counter(row.state for row in trials(storage, study))


def measured(storage: str) -> Counter[tuple[str, str, str]]:
    """Count the measurements of each design, metric and protocol."""
    return Counter((row.design, row.metric, row.protocol) for row in rows(storage, MeasurementRow))


def moved(storage: str, study: str, designs: Collection[str]) -> str:
    """Assign the measurements of designs to another device; return its fingerprint."""
    engine = open_database(storage, create=True)
    other = MeasurementStore(engine, dataclasses.replace(this_device(), cores=4096)).device
    drawn = select(TrialRow.design).where(TrialRow.study == study)
    with Session(engine) as session, session.begin():
        session.execute(
            update(MeasurementRow)
            .where(MeasurementRow.design.in_(designs), MeasurementRow.design.in_(drawn))
            .values(device=other)
        )
        session.execute(
            update(DeploymentRow)
            .where(DeploymentRow.design.in_(designs), DeploymentRow.design.in_(drawn))
            .values(device=other)
        )
    return other


def weight_files(storage: str, study: str) -> dict[str, Path]:
    """Find the weight files of a study, by design id; each design has at most one."""
    folder = Path(storage.removeprefix("sqlite:///")).parent / study / "weights"
    files = sorted(folder.glob("*"))
    found = {file.name.partition(".")[0]: file for file in files}
    assert len(found) == len(files), files
    return found


class Following:
    """Collects the progress of a search, and interrupts the search on a condition."""

    def __init__(self, enough: Callable[[Progress], bool] = lambda progress: False) -> None:
        self.told: list[Progress] = []
        self._enough = enough

    def __call__(self, progress: Progress) -> None:
        self.told.append(progress)
        if self._enough(progress):
            raise KeyboardInterrupt

    @property
    def last(self) -> End | None:
        """The reason for which the search ended."""
        return self.told[-1].event.end


def trained(patch: pytest.MonkeyPatch) -> list[Activity]:
    """Return a list to which every training is added when it starts."""
    found: list[Activity] = []

    @contextmanager
    def noted(kind: Kind, total: float | None = None, unit: str = "") -> Iterator[Activity]:
        with activity(kind, total, unit) as started:
            found.append(started)
            yield started

    patch.setattr("dsx.train.loop.activity", noted)
    return found
