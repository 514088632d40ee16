"""Outcomes of the trials of a study, with their reasons."""

from collections import Counter, defaultdict
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.analysis import (
    CHECKED,
    MEASURED,
    Outcomes,
    Reason,
    TrialState,
    grouped,
    most_common,
)
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import (
    DesignRow,
    StudyRow,
    TrialDetailRow,
    TrialRow,
)


class ReadTrial(NamedTuple):
    """A trial of a study.

    Attributes:
        number: Number of the trial.
        design: Id of the design; None if the design is lost.
        state: State of the trial.
        reason: Reason of the state in one line; may be empty.
    """

    number: int
    design: str | None
    state: TrialState
    reason: str


def load_outcomes(session: Session, study: StudyRow) -> Outcomes:
    """Count the trials of a study by outcome and reason.

    Args:
        session: Session of the database.
        study: The study.

    Returns:
        The counts. Trials with a damaged row are counted only as damaged.
    """
    rows, damaged = read_trials(session, study.name)
    ended = [
        row for row in rows if row.state in (*MEASURED, TrialState.REJECTED, TrialState.FAILED)
    ]
    candidates = [row for row in ended if row.design != study.baseline]
    states = Counter(row.state for row in candidates)
    known = {row.number for row in candidates}
    violations: dict[str, list[int]] = defaultdict(list)
    violating = {row.number for row in candidates if row.state == TrialState.REJECTED}
    for number, violated in read_details(session, study.name, TrialDetailRow.violations).items():
        if number in known and violated:
            violating.add(number)
            for name in violated:
                violations[name].append(number)
    failed = [(row.number, row.reason) for row in candidates if row.state == TrialState.FAILED]
    return Outcomes(
        counts=Counter(row.state for row in rows),
        complete=states[TrialState.COMPLETE],
        rejected=states[TrialState.REJECTED],
        failed=states[TrialState.FAILED],
        left_out=states[TrialState.SCREENED] + states[TrialState.STOPPED],
        checked=tuple(
            row.number
            for row in candidates
            if row.state == TrialState.COMPLETE and row.reason == CHECKED
        ),
        violating=len(violating),
        failures=grouped(failed, slot_names(session, study)),
        violations=most_common(
            Reason(text=name, trials=tuple(numbers)) for name, numbers in violations.items()
        ),
        baseline_failure=_baseline_failure(ended, study.baseline),
        damaged=damaged,
    )


def slot_names(session: Session, study: StudyRow) -> tuple[str, ...]:
    """Return the names of the slots of the network of a study.

    Args:
        session: Session of the database.
        study: Row of the study.

    Returns:
        The names; empty if the row of the baseline is damaged.
    """
    spec = session.scalar(select(DesignRow.spec).where(DesignRow.id == study.baseline))
    return tuple(spec) if isinstance(spec, dict) else ()


def read_trials(session: Session, study: str) -> tuple[list[ReadTrial], int]:
    """Load the trials of a study.

    Args:
        session: Session of the database.
        study: Name of the study.

    Returns:
        The trials in order, and the number of trials that are excluded because their row is
        damaged.
    """
    row = TrialRow
    query = select(row.number, row.design, row.state, row.reason).where(row.study == study)
    rows = session.execute(query.order_by(row.number)).all()
    sound = [
        ReadTrial(*found)
        for found in rows
        if not describe_damage(TrialRow.__table__, found._mapping)
    ]
    return sound, len(rows) - len(sound)


def read_details(session: Session, study: str, column: Any) -> dict[int, Any]:
    """Load a column of the details of the trials of a study.

    Args:
        session: Session of the database.
        study: Name of the study.
        column: Column of `TrialDetailRow`.

    Returns:
        Value of the column by number of the trial, for trials with details.
    """
    row = TrialDetailRow
    found = session.execute(
        select(row.number, column.label(column.key)).where(row.study == study).order_by(row.number)
    )
    return {
        each.number: each[1] for each in found if not describe_damage(row.__table__, each._mapping)
    }


def _baseline_failure(ended: list[ReadTrial], baseline: str) -> str:
    """Return the reason of the last failure of a baseline that was never completed."""
    own = [row for row in ended if row.design == baseline]
    if not own or any(row.state == TrialState.COMPLETE for row in own):
        return ""
    return str(own[-1].reason)
