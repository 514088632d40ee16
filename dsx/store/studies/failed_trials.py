"""Failed trials of studies, with their tracebacks."""

from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx.analysis import Reason, TrialState, grouped
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import DesignRow, StudyRow, TrialDetailRow, TrialRow
from dsx.store.studies.outcomes import read_details, read_trials, slot_names
from dsx.store.studies.study import find_study, named_studies


@dataclass(frozen=True, kw_only=True)
class FailedTrial:
    """A trial that failed.

    Attributes:
        study: Name of the study.
        number: Number of the trial.
        design: Id of the design.
        description: Description of the design.
        reason: Reason of the failure in one line.
        traceback: Traceback of the failure; empty if none is stored.
    """

    study: str
    number: int
    design: str
    description: str
    reason: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class FailedStudy:
    """The failed trials of one study, including those of the baseline.

    Attributes:
        name: Name of the study.
        trials: Failed trials in the order of their numbers.
        reasons: Reasons of the trials, the most common first.
    """

    name: str
    trials: tuple[FailedTrial, ...]
    reasons: tuple[Reason, ...]


def load_failed(engine: Engine, name: str | None) -> list[FailedStudy]:
    """Load the failed trials of one study or of all studies.

    Args:
        engine: Engine of the database.
        name: Name of the study; None for all studies.

    Returns:
        The studies, newest last.

    Raises:
        StorageError: If there is no such study.
    """
    with Session(engine) as session:
        if name is not None:
            return [_failed(session, find_study(engine, name))]
        return [_failed(session, study) for study in session.scalars(named_studies())]


def _failed(session: Session, study: StudyRow) -> FailedStudy:
    rows, _ = read_trials(session, study.name)
    failed = [row for row in rows if row.state == TrialState.FAILED]
    descriptions = _descriptions(session, study.name)
    tracebacks = read_details(session, study.name, TrialDetailRow.traceback)
    trials = tuple(
        FailedTrial(
            study=study.name,
            number=row.number,
            design=row.design or "",
            description=descriptions.get(row.design or "", ""),
            reason=row.reason,
            traceback=tracebacks.get(row.number, ""),
        )
        for row in failed
    )
    reasons = grouped(
        ((trial.number, trial.reason) for trial in trials), slot_names(session, study)
    )
    return FailedStudy(name=study.name, trials=trials, reasons=reasons)


def _descriptions(session: Session, study: str) -> dict[str, str]:
    failed = select(TrialRow.design).where(
        TrialRow.study == study, TrialRow.state == TrialState.FAILED
    )
    query = select(DesignRow.id, DesignRow.description).where(DesignRow.id.in_(failed))
    return {
        row.id: row.description
        for row in session.execute(query)
        if not describe_damage(DesignRow.__table__, row._mapping)
    }
