"""Read studies back from a database: no torch, no Optuna, nothing is written."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from dsx.activity import activity
from dsx.analysis import Entry, Estimate, Front, Measurement, MetricKind, number_of, pool_all
from dsx.errors import StorageError, quoted, unknown
from dsx.store.database.checked import DamagedRow
from dsx.store.database.engine import DEFAULT_STORAGE, open_database
from dsx.store.database.schema import COMPLETE, DesignRow, DeviceRow, StudyRow, TrialRow
from dsx.store.measurements.readings import DeployedAs, load_deployed, load_readings
from dsx.store.measurements.repeatability import load_agreement
from dsx.store.studies.names import check_study_name
from dsx.store.studies.outcomes import load_outcomes
from dsx.store.studies.provenance import (
    Facts,
    about_baseline,
    alike,
    circumstances,
    damaged,
    left_out,
    numbered,
    repeated,
)

_KEPT = {"kernel_shape": "keep"}


def named_studies() -> Select[StudyRow]:
    """Select the studies, the newest last; a damaged one without a name cannot be asked for."""
    query = select(StudyRow).where(StudyRow.name.is_not(None))
    return query.order_by(StudyRow.begun_at, StudyRow.name)


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
        rows = session.scalars(named_studies()).all()
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
        trials = complete_trials(session, study)
        # Read after the trials: a search writes the reference before the first of them is complete.
        study = _read_again(session, study)
        facts = {row.fingerprint: row.facts for row in session.scalars(select(DeviceRow))}
        readings, deployed = load_readings(session, study), load_deployed(session, study)
        outcomes = load_outcomes(session, study)
        entries = _entries(study, trials, readings, deployed)
    joined = [entry for entry in entries if mix_devices or entry.device == study.device]
    whole = [entry for entry in joined if study.objectives.keys() <= entry.metrics.keys()]
    _check(study, facts, whole)
    return Front(
        study=study.name,
        space=study.space,
        objectives=study.objectives,
        units=_units(study),
        kinds={
            name: MetricKind(facts["stage"], facts["refinement"])
            for name, facts in study.metrics.items()
        },
        entries=tuple(whole),
        baseline=study.baseline,
        reference=study.reference,
        conditions={
            **circumstances(study, facts, numbered(study, whole)),
            **left_out(len(trials) - len(joined)),
            **damaged(readings.damaged, [entry.trial for entry in joined if entry not in whole]),
            **alike(whole),
            **repeated(load_agreement(engine, study.device, study)),
            **about_baseline(
                readings[study.baseline][study.device],
                deployed.get((study.baseline, study.device)),
            ),
        },
        devices=numbered(study, whole),
        outcomes=outcomes,
    )


def _entries(
    study: StudyRow,
    trials: Sequence[tuple[TrialRow, DesignRow]],
    readings: Mapping[str, Mapping[str, Sequence[Measurement]]],
    deployed: Mapping[tuple[str, str], DeployedAs],
) -> list[Entry]:
    """Pool the readings of each design, on the device that all of its numbers are from."""
    devices = {design.id: _device(study, readings[design.id]) for _, design in trials}
    taken = {design: of[devices[design]] for design, of in readings.items() if design in devices}
    values = pool_all(taken, _units(study))
    return [
        _entry(
            trial,
            design,
            devices[design.id],
            deployed.get((design.id, devices[design.id])),
            values[design.id],
        )
        for trial, design in trials
    ]


def _read_again(session: Session, study: StudyRow) -> StudyRow:
    found = session.get(StudyRow, study.name)
    if found is None:
        raise StorageError(f"study {quoted(study.name)} was begun again in the meantime")
    return found


def complete_trials(session: Session, study: StudyRow) -> list[tuple[TrialRow, DesignRow]]:
    """Read the completed trials of a study, and their designs.

    Args:
        session: A session of the database.
        study: The study.

    Returns:
        The trials in order.
    """
    rows = session.execute(
        select(TrialRow, DesignRow)
        .join(DesignRow, DesignRow.id == TrialRow.design)
        .where(TrialRow.study == study.name, TrialRow.state == COMPLETE)
        .order_by(TrialRow.number)
    )
    return [(trial, design) for trial, design in rows]


def _check(study: StudyRow, facts: Facts, entries: Sequence[Entry]) -> None:
    """Refuse a study whose row does not agree with other rows.

    Raises:
        DamagedRow: If a device is unknown, or a design has no reference point to compare with.
    """
    for device in (study.device, *(entry.device for entry in entries)):
        if device not in facts:
            raise DamagedRow(f"the database is damaged: dsx_devices has no row {device!r}")
    row = f"the database is damaged: dsx_studies, row name={study.name!r}:"
    missing = sorted(study.objectives.keys() - study.reference.keys())
    if entries and missing:
        raise DamagedRow(
            f"{row} reference lacks {', '.join(missing)} (`dsx search` computes it again)"
        )


def load_values(engine: Engine, study: StudyRow) -> dict[str, dict[str, Estimate]]:
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


def _device(study: StudyRow, readings: Mapping[str, Sequence[Measurement]]) -> str:
    """Choose the device that all numbers of a design are from, as they do not mix.

    The study's, unless only another knows all objectives; of several others the one that measured
    the design last.
    """
    whole = {
        device: number_of(taken[-1])
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
    metrics: Mapping[str, Estimate],
) -> Entry:
    redesigned = {name for name, dials in design.spec.items() if dials != _KEPT}
    return Entry(
        id=design.id,
        trial=trial.number,
        feasible=trial.feasible,
        metrics=dict(sorted(metrics.items())),
        spec=design.spec,
        description=design.description,
        redesigned=len(redesigned),
        fallbacks=None
        if deployed is None
        else sum(form == "dense" and name in redesigned for name, form in deployed.forms.items()),
        device=device,
        deployed=None if deployed is None else deployed.subject,
        deployed_counts={} if deployed is None else deployed.counts,
    )
