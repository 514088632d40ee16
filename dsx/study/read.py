"""Read studies back from a database: no torch, no Optuna, nothing is written."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx.activity import activity
from dsx.errors import StorageError, unknown
from dsx.study.circumstances import (
    alike,
    circumstances,
    data_notes,
    left_out,
    numbered,
    repeated,
    uncounted,
)
from dsx.study.database import DEFAULT_STORAGE, open_database
from dsx.study.front import Entry, Front, Value
from dsx.study.names import check_study_name
from dsx.study.pool import Stored, pool_all
from dsx.study.readings import DeployedAs, load_deployed, load_readings
from dsx.study.repeated import load_agreement
from dsx.study.tables import COMPLETE, DesignRow, DeviceRow, StudyRow, TrialRow

_KEPT = {"kernel_shape": "keep"}


def find_study(engine: Engine, name: str | None) -> StudyRow:
    """Find a study.

    Args:
        engine: The database.
        name: Of the study; None for the newest one.

    Returns:
        Its row.

    Raises:
        StorageError: If there is no such study.
    """
    if name is not None:
        check_study_name(name)
    with Session(engine, expire_on_commit=False) as session:
        rows = session.scalars(select(StudyRow).order_by(StudyRow.begun_at, StudyRow.name)).all()
    if not rows:
        raise StorageError("the database holds no study yet; `dsx search` begins one")
    if name is None:
        return rows[-1]
    for row in rows:
        if row.name == name:
            return row
    raise StorageError(unknown("study", name, [row.name for row in rows]))


def load_front(engine: Engine, name: str | None, mix_devices: bool = False) -> Front:
    """Read the front of a study.

    Args:
        engine: The database.
        name: Of the study; None for the newest one.
        mix_devices: Whether designs that were measured on other devices than the study's join in.

    Returns:
        The front, with every design that was measured to the end.

    Raises:
        StorageError: If there is no such study.
    """
    study = find_study(engine, name)
    with Session(engine) as session, activity("reading the study"):
        trials = session.execute(
            select(TrialRow, DesignRow)
            .join(DesignRow, DesignRow.id == TrialRow.design)
            .where(TrialRow.study == study.name, TrialRow.state == COMPLETE)
            .order_by(TrialRow.number)
        ).all()
        facts = {row.fingerprint: row.facts for row in session.scalars(select(DeviceRow))}
        readings, deployed = load_readings(session, study), load_deployed(session, study)
        devices = {design.id: _device(study, readings[design.id]) for _, design in trials}
        taken = {
            design: of[devices[design]] for design, of in readings.items() if design in devices
        }
        values = pool_all(taken, _units(study))
        entries = [
            _entry(
                trial,
                design,
                devices[design.id],
                deployed.get((design.id, devices[design.id])),
                values[design.id],
            )
            for trial, design in trials
            if mix_devices or devices[design.id] == study.device
        ]
    return Front(
        study=study.name,
        space=study.space,
        objectives=study.objectives,
        units=_units(study),
        entries=tuple(entries),
        baseline=study.baseline,
        reference=study.reference,
        conditions={
            **circumstances(study, facts, numbered(study, entries)),
            **left_out(len(trials) - len(entries)),
            **alike(entries),
            **repeated(load_agreement(engine, study.device, study)),
            **uncounted(readings[study.baseline][study.device]),
            **data_notes(readings[study.baseline][study.device]),
        },
        devices=numbered(study, entries),
    )


def load_values(engine: Engine, study: StudyRow) -> dict[str, dict[str, Value]]:
    """Read the numbers of every design that a study drew, also of those that it rejected.

    Args:
        engine: The database.
        study: The study.

    Returns:
        Design id to metric to number; numbers of other devices than the study's are left out.
    """
    with Session(engine) as session:
        readings = load_readings(session, study)
    own = {d: of[study.device] for d, of in readings.items() if study.device in of}
    return pool_all(own, _units(study))


def front(
    study: str | None = None, *, storage: str = DEFAULT_STORAGE, mix_devices: bool = False
) -> Front:
    """Read the front of a study.

    Args:
        study: Its name; None for the newest one.
        storage: Any SQLAlchemy URL.
        mix_devices: Whether designs that were measured on other devices than the study's join in.

    Returns:
        The front, with every design that was measured to the end.

    Raises:
        StorageError: If the database cannot be opened, or has no such study.
    """
    return load_front(open_database(storage, create=False), study, mix_devices)


def _units(study: StudyRow) -> dict[str, str]:
    return {metric: facts["unit"] for metric, facts in study.metrics.items()}


def _device(study: StudyRow, readings: Mapping[str, Sequence[Stored]]) -> str:
    """Choose the device that all numbers of a design are from, as they do not mix.

    The study's, unless only another knows all objectives; of several others the one that measured
    the design last.
    """
    whole = {
        device: taken[-1].order
        for device, taken in readings.items()
        if study.objectives.keys() <= {reading.metric for reading in taken}
    }
    if study.device in whole or not whole:
        return study.device
    return max(whole, key=lambda device: whole[device])


def _entry(
    trial: TrialRow,
    design: DesignRow,
    device: str,
    deployed: DeployedAs | None,
    metrics: Mapping[str, Value],
) -> Entry:
    redesigned = {name for name, dials in design.spec.items() if dials != _KEPT}
    return Entry(
        id=design.id,
        trial=trial.number,
        feasible=trial.feasible,
        metrics=dict(sorted(metrics.items())),
        spec=design.spec,
        words=design.words,
        redesigned=len(redesigned),
        fallbacks=None
        if deployed is None
        else sum(form == "dense" and name in redesigned for name, form in deployed.forms.items()),
        device=device,
        deployed=None if deployed is None else deployed.subject,
    )
