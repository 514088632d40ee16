"""Rows of a study: creation, loading and deletion."""

from collections.abc import Mapping

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from dsx.analysis import TrialState
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import (
    DesignRow,
    StudyRow,
    TrialDetailRow,
    TrialRow,
)
from dsx.store.measurements.readings import load_readings


def load_study(engine: Engine, name: str) -> StudyRow | None:
    """Load the row of a study.

    Args:
        engine: Engine of the database.
        name: Name of the study.

    Returns:
        The row; None if there is no such study.
    """
    with Session(engine) as session:
        return session.get(StudyRow, name)


def add_study(engine: Engine, study: StudyRow) -> StudyRow:
    """Commit the row of a new study.

    Args:
        engine: Engine of the database.
        study: The row.

    Returns:
        The row, with its default values.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        session.add(study)
    return study


def delete_study(engine: Engine, name: str) -> None:
    """Delete a study and its trials; measurements and designs are kept.

    Args:
        engine: Engine of the database.
        name: Name of the study.
    """
    with Session(engine) as session, session.begin():
        session.execute(delete(TrialDetailRow).where(TrialDetailRow.study == name))
        session.execute(delete(TrialRow).where(TrialRow.study == name))
        session.execute(delete(StudyRow).where(StudyRow.name == name))


def has_trials(engine: Engine, name: str) -> bool:
    """Check whether a study has any trial.

    Args:
        engine: Engine of the database.
        name: Name of the study.
    """
    with Session(engine) as session:
        found = session.scalar(select(TrialRow.number).where(TrialRow.study == name).limit(1))
    return found is not None


def has_results(engine: Engine, name: str) -> bool:
    """Check whether any design of a study, including the baseline, was completed or rejected.

    Args:
        engine: Engine of the database.
        name: Name of the study.
    """
    query = select(TrialRow.number).where(
        TrialRow.study == name, TrialRow.state.in_((TrialState.COMPLETE, TrialState.REJECTED))
    )
    with Session(engine) as session:
        return session.scalar(query.limit(1)) is not None


def set_reference(engine: Engine, name: str, device: str, reference: Mapping[str, float]) -> None:
    """Store the reference point of a study, unless another device has already done so.

    Args:
        engine: Engine of the database.
        name: Name of the study.
        device: Fingerprint of the device that measured the baseline.
        reference: Value of the reference point by objective.
    """
    with Session(engine) as session, session.begin():
        study = session.get_one(StudyRow, name)
        if not study.reference or study.device == device:
            study.reference = dict(reference)


def load_measured(engine: Engine, name: str) -> dict[str, list[set[str]]]:
    """Load which metrics of the designs of a study were measured.

    Args:
        engine: Engine of the database.
        name: Name of the study.

    Returns:
        Names of the metrics for each device, by id of each design with an undamaged row.
    """
    row = DesignRow
    query = select(row.id, row.model, row.model_args, row.spec, row.description)
    with Session(engine) as session:
        readings = load_readings(session, session.get_one(StudyRow, name))
        found = [
            design.id
            for design in session.execute(query)
            if not describe_damage(DesignRow.__table__, design._mapping)
        ]
    return {
        design: [{reading.metric for reading in of} for of in readings[design].values()]
        for design in found
        if design in readings
    }


def load_spec(engine: Engine, design: str | None) -> object:
    """Load the stored spec of a design, which may be damaged.

    Args:
        engine: Engine of the database.
        design: Id of the design.

    Returns:
        The spec as plain JSON values; None if there is no row of the design.
    """
    with Session(engine) as session:
        return session.scalar(select(DesignRow.spec).where(DesignRow.id == design))
