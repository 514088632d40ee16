"""Look into a database from outside, and follow a search."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from dsx.study.database import open_database
from dsx.study.run import Progress
from dsx.study.tables import Base, MeasurementRow, TrialRow

Row = TypeVar("Row", bound=Base)


def rows(storage: str, table: type[Row]) -> list[Row]:
    """Read a whole table, in the order of its keys."""
    key = inspect(table).primary_key
    with Session(open_database(storage, create=False), expire_on_commit=False) as session:
        return list(session.scalars(select(table).order_by(*key)))


def trials(storage: str, study: str) -> list[TrialRow]:
    """Read the draws of a study, in order."""
    return [row for row in rows(storage, TrialRow) if row.study == study]


def states(storage: str, study: str) -> Counter[str]:
    """Count the draws of a study by what became of them."""
    return Counter(row.state for row in trials(storage, study))


def measured(storage: str) -> Counter[tuple[str, str, str]]:
    """Count the measurements of each design, metric and protocol."""
    return Counter((row.design, row.metric, row.protocol) for row in rows(storage, MeasurementRow))


class Following:
    """A report that keeps all it is told, and interrupts the search when it has seen enough."""

    def __init__(self, enough: Callable[[Progress], bool] = lambda progress: False) -> None:
        self.told: list[Progress] = []
        self._enough = enough

    def __call__(self, progress: Progress) -> None:
        self.told.append(progress)
        if self._enough(progress):
            raise KeyboardInterrupt

    @property
    def last(self) -> str:
        """What the search said last."""
        return self.told[-1].doing
