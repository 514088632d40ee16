"""Summaries of the studies of a database."""

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
class StudySummary:
    """The summary of a study in one line.

    Args:
        name: Name of the study.
        space: Name of the search space.
        created_at: Time of creation in UTC.
        trials: Number of trials in any state.
        complete: Number of completed designs.
        outcomes: Outcomes of the trials.
        running: Process that runs the study, as host:pid; empty if there is none. A killed process
            may be listed until the study is resumed, unless its end can be proved.
    """

    name: str
    space: str
    created_at: datetime
    trials: int
    complete: int
    outcomes: Outcomes
    running: str


def list_studies(engine: Engine, name: str | None = None) -> list[StudySummary]:
    """List the studies of a database, newest last.

    Args:
        engine: Engine of the database.
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
        .order_by(StudyRow.created_at, StudyRow.name)
    )
    if name is not None:
        query = query.where(StudyRow.name == find_study(engine, name).name)
    with Session(engine) as session:
        return [
            StudySummary(
                name=row.name,
                space=row.space,
                created_at=row.created_at,
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
