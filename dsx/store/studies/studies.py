"""The studies of a database, a line each."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, case, func, select
from sqlalchemy.orm import Session

from dsx.analysis import Outcomes, TrialState
from dsx.store.database.schema import LeaseRow, StudyRow, TrialRow
from dsx.store.lease.presence import Presence
from dsx.store.studies.outcomes import load_outcomes
from dsx.store.studies.study import find_study


@dataclass(frozen=True, kw_only=True)
class StudyLine:
    """A study in one line.

    Args:
        name: Of the study.
        space: Name of its space.
        begun_at: In UTC.
        trials: Number of trials in any state.
        complete: Number of completed designs.
        outcomes: Outcomes of the trials.
        running: The process that runs it, as host:pid; empty if none does. One that was killed may
            still be named until the study is resumed, unless it is proved to have ended.
    """

    name: str
    space: str
    begun_at: datetime
    trials: int
    complete: int
    outcomes: Outcomes
    running: str


def list_studies(engine: Engine, name: str | None = None) -> list[StudyLine]:
    """List the studies of a database, the newest last.

    Args:
        engine: The database.
        name: Name of the only study to list; None for all studies.

    Returns:
        A line for each study.

    Raises:
        StorageError: If there is no such study.
    """
    complete = func.sum(case((TrialRow.state == TrialState.COMPLETE, 1), else_=0))
    query = (
        select(StudyRow, func.count(TrialRow.number), complete, LeaseRow)
        .outerjoin(TrialRow, TrialRow.study == StudyRow.name)
        .where(StudyRow.name.is_not(None))
        .outerjoin(LeaseRow, LeaseRow.study == StudyRow.name)
        .group_by(StudyRow.name, LeaseRow.study)
        .order_by(StudyRow.begun_at, StudyRow.name)
    )
    if name is not None:
        query = query.where(StudyRow.name == find_study(engine, name).name)
    with Session(engine) as session:
        return [
            StudyLine(
                name=row.name,
                space=row.space,
                begun_at=row.begun_at,
                trials=trials,
                complete=done or 0,
                outcomes=load_outcomes(session, row),
                running=_running(engine, lease),
            )
            for row, trials, done, lease in session.execute(query)
        ]


def _running(engine: Engine, lease: LeaseRow | None) -> str:
    if lease is None or Presence(engine, lease.study).has_ended(lease.token):
        return ""
    return f"{lease.host}:{lease.pid}"
