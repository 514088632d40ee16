"""Fronts and estimates of studies, loaded without writing to the database."""

from collections.abc import Mapping, Sequence, Set

from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx.activity import Kind, activity
from dsx.analysis import (
    MEASURED,
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
from dsx.store.studies.conditions import (
    Facts,
    agreement_note,
    baseline_notes,
    damage_note,
    excluded_designs_note,
    measurement_conditions,
    number_devices,
    shared_networks_note,
)
from dsx.store.studies.outcomes import load_outcomes
from dsx.store.studies.study import Study

_UNCHANGED = {"kernel_shape": "keep"}


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
        trials = measured_trials(session, study.row)
        # Read after the trials, because a search stores the reference point before the first of
        # them is completed.
        row = _read_again(session, study.row)
        facts = {each.fingerprint: each.facts for each in session.scalars(select(DeviceRow))}
        readings, deployed = load_readings(session, row), load_deployed(session, row)
        outcomes = load_outcomes(session, row)
        entries = _entries(row, trials, readings, deployed)
    joined = [entry for entry in entries if mix_devices or entry.device == row.device]
    whole = [entry for entry in joined if row.objectives.keys() <= _accounted(entry)]
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
            **measurement_conditions(row, facts, number_devices(row, whole)),
            **excluded_designs_note(len(trials) - len(joined)),
            **damage_note(readings.damaged, [each.trial for each in joined if each not in whole]),
            **shared_networks_note(whole),
            **agreement_note(load_agreement(engine, row.device, row)),
            **baseline_notes(
                readings[row.baseline][row.device],
                deployed.get((row.baseline, row.device)),
            ),
        },
        devices=number_devices(row, whole),
        outcomes=outcomes,
    )


def _accounted(entry: Entry) -> Set[str]:
    """Return the metrics of which a design has a value, or a reason for having none."""
    return entry.metrics.keys() | entry.missing.keys()


def _entries(
    study: StudyRow,
    trials: Sequence[tuple[TrialRow, DesignRow]],
    readings: Mapping[str, Mapping[str, Sequence[Measurement]]],
    deployed: Mapping[tuple[str, str], DeployedAs],
) -> list[Entry]:
    """Aggregate the readings of each design on one device."""
    devices = {design.id: _device(study, readings[design.id]) for _, design in trials}
    taken = {design: of[devices[design]] for design, of in readings.items() if design in devices}
    values = aggregate_all(taken, _units(study))
    return [
        _entry(
            trial,
            design,
            devices[design.id],
            deployed.get((design.id, devices[design.id])),
            values.get(design.id, {}),
            study,
        )
        for trial, design in trials
    ]


def _read_again(session: Session, study: StudyRow) -> StudyRow:
    found = session.get(StudyRow, study.name)
    if found is None:
        raise StorageError(f"study {quoted(study.name)} was deleted in the meantime")
    return found


def measured_trials(session: Session, study: StudyRow) -> list[tuple[TrialRow, DesignRow]]:
    """Load the trials of a study whose designs were measured, at least in part.

    Args:
        session: Session of the database.
        study: Row of the study.

    Returns:
        The trials in order with their designs, one for each design: a stopped trial does not count
        if another trial of the design got further.
    """
    rows = session.execute(
        select(TrialRow, DesignRow)
        .join(DesignRow, DesignRow.id == TrialRow.design)
        .where(TrialRow.study == study.name, TrialRow.state.in_(MEASURED))
        .order_by(TrialRow.number)
    )
    found: dict[str, tuple[TrialRow, DesignRow]] = {}
    for trial, design in rows:
        known = found.get(design.id)
        if known is None or MEASURED.index(trial.state) < MEASURED.index(known[0].state):
            found[design.id] = (trial, design)
    return sorted(found.values(), key=lambda each: each[0].number)


def _check(study: StudyRow, facts: Facts, entries: Sequence[Entry]) -> None:
    """Check that the row of a study is consistent with other rows.

    Raises:
        DamagedRow: If a device has no row, or if the reference point lacks an objective.
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
        Estimates by design id and metric on the device of the study.
    """
    row = study.row
    with Session(study.engine) as session:
        readings = load_readings(session, row)
    own = {design: of[row.device] for design, of in readings.items() if row.device in of}
    return aggregate_all(own, _units(row))


def front(
    study: str | None = None, *, storage: str = DEFAULT_STORAGE, mix_devices: bool = False
) -> Front:
    """Load the front of a study.

    Args:
        study: Name of the study; None for the newest study.
        storage: SQLAlchemy URL of the database.
        mix_devices: Whether to include designs that were measured on other devices only.

    Returns:
        The front, with all completed designs.

    Raises:
        StorageError: If the database cannot be opened or does not contain the study.
    """
    return load_front(Study.open(storage, study), mix_devices)


def _units(study: StudyRow) -> dict[str, str]:
    return {metric: facts["unit"] for metric, facts in study.metrics.items()}


def _device(study: StudyRow, readings: Mapping[str, Sequence[Measurement]]) -> str:
    """Select the device whose readings of a design are used, since devices are not comparable.

    This is the device of the study, unless only other devices have measured all objectives; of
    these, it is the one with the newest reading.
    """
    complete = {
        device: row_number(taken[-1])
        for device, taken in readings.items()
        if study.objectives.keys() <= {reading.metric for reading in taken}
    }
    if study.device in complete or not complete:
        return study.device
    return max(complete, key=lambda device: complete[device])


def _entry(
    trial: TrialRow,
    design: DesignRow,
    device: str,
    deployed: DeployedAs | None,
    metrics: Mapping[str, Estimate],
    study: StudyRow,
) -> Entry:
    redesigned = {name for name, dials in design.spec.items() if dials != _UNCHANGED}
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
        missing={}
        if trial.state == TrialState.COMPLETE
        else {name: trial.reason for name in study.objectives if name not in metrics},
    )
