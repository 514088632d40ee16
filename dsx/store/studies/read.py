"""Read studies back from a database: no torch, no Optuna, nothing is written."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.activity import Kind, activity
from dsx.analysis import (
    Entry,
    Estimate,
    Front,
    Measurement,
    MetricKind,
    TrialState,
    aggregate_all,
    row_number,
)
from dsx.errors import StorageError, quoted
from dsx.store.database.checked import DamagedRow
from dsx.store.database.engine import DEFAULT_STORAGE
from dsx.store.database.schema import DesignRow, DeviceRow, StudyRow, TrialRow
from dsx.store.measurements.readings import DeployedAs, load_deployed, load_readings
from dsx.store.measurements.repeatability import load_agreement
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
from dsx.store.studies.study import Study

_KEPT = {"kernel_shape": "keep"}


def load_front(study: Study, mix_devices: bool = False) -> Front:
    """Load the front of a study.

    Args:
        study: The study.
        mix_devices: Whether to include designs that were measured on other devices only.

    Returns:
        The front, with all completed designs.

    Raises:
        StorageError: If the study was deleted or is damaged.
    """
    engine = study.engine
    with Session(engine) as session, activity(Kind.READING_STUDY):
        trials = complete_trials(session, study.row)
        # Read after the trials, because a search stores the reference point before the first of
        # them is completed.
        row = _read_again(session, study.row)
        facts = {each.fingerprint: each.facts for each in session.scalars(select(DeviceRow))}
        readings, deployed = load_readings(session, row), load_deployed(session, row)
        outcomes = load_outcomes(session, row)
        entries = _entries(row, trials, readings, deployed)
    joined = [entry for entry in entries if mix_devices or entry.device == row.device]
    whole = [entry for entry in joined if row.objectives.keys() <= entry.metrics.keys()]
    _check(row, facts, whole)
    return Front(
        study=row.name,
        space=row.space,
        objectives=row.objectives,
        units=_units(row),
        kinds={
            name: MetricKind(facts["stage"], facts["refinement"])
            for name, facts in row.metrics.items()
        },
        entries=tuple(whole),
        baseline=row.baseline,
        reference=row.reference,
        conditions={
            **circumstances(row, facts, numbered(row, whole)),
            **left_out(len(trials) - len(joined)),
            **damaged(readings.damaged, [entry.trial for entry in joined if entry not in whole]),
            **alike(whole),
            **repeated(load_agreement(engine, row.device, row)),
            **about_baseline(
                readings[row.baseline][row.device],
                deployed.get((row.baseline, row.device)),
            ),
        },
        devices=numbered(row, whole),
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
    values = aggregate_all(taken, _units(study))
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
        .where(TrialRow.study == study.name, TrialRow.state == TrialState.COMPLETE)
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


def load_values(study: Study) -> dict[str, dict[str, Estimate]]:
    """Load the estimates of all sampled designs of a study, including rejected ones.

    Args:
        study: The study.

    Returns:
        Design id to metric to estimate, without measurements of devices other than the study's.
    """
    row = study.row
    with Session(study.engine) as session:
        readings = load_readings(session, row)
    own = {design: of[row.device] for design, of in readings.items() if row.device in of}
    return aggregate_all(own, _units(row))


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
    return load_front(Study.open(storage, study), mix_devices)


def _units(study: StudyRow) -> dict[str, str]:
    return {metric: facts["unit"] for metric, facts in study.metrics.items()}


def _device(study: StudyRow, readings: Mapping[str, Sequence[Measurement]]) -> str:
    """Choose the device that all numbers of a design are from, as they do not mix.

    The study's, unless only another knows all objectives; of several others the one that measured
    the design last.
    """
    whole = {
        device: row_number(taken[-1])
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
