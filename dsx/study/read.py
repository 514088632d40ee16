"""Read studies back from a database: no torch, no Optuna, nothing is written."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, func, select
from sqlalchemy.orm import Session

from dsx.errors import StorageError, unknown
from dsx.study.database import DEFAULT_STORAGE, open_database
from dsx.study.front import Entry, Front, Value
from dsx.study.tables import (
    COMPLETE,
    DesignRow,
    DeviceRow,
    MeasurementRow,
    StudyRow,
    TrialRow,
)


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


_KEPT = {"kernel_shape": "keep"}
# Without the samples, which are most of the bytes and which a front does not need.
_NUMBERS = (
    MeasurementRow.design,
    MeasurementRow.metric,
    MeasurementRow.value,
    MeasurementRow.low,
    MeasurementRow.high,
    MeasurementRow.conditions,
)


def load_front(engine: Engine, name: str | None) -> Front:
    """Read the front of a study.

    Args:
        engine: The database.
        name: Of the study; None for the newest one.

    Returns:
        The front, with every design that was measured to the end.

    Raises:
        StorageError: If there is no such study.
    """
    study = find_study(engine, name)
    with Session(engine) as session:
        device = session.get_one(DeviceRow, study.device)
        trials = session.execute(
            select(TrialRow, DesignRow)
            .join(DesignRow, DesignRow.id == TrialRow.design)
            .where(TrialRow.study == study.name, TrialRow.state == COMPLETE)
            .order_by(TrialRow.number)
        ).all()
        rows: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in session.execute(_measurements(study, *_NUMBERS)):
            rows[row.design].append(row)
        entries = tuple(_entry(trial, design, rows[design.id]) for trial, design in trials)
    return Front(
        study=study.name,
        space=study.space,
        objectives=study.objectives,
        units={metric: facts["unit"] for metric, facts in study.metrics.items()},
        entries=entries,
        baseline=study.baseline,
        reference=study.reference,
        conditions=_conditions(study, device.facts) | _uncounted(rows[study.baseline]),
    )


def _uncounted(baseline: Sequence[Row[Any]]) -> dict[str, str]:
    """Say where the operators of the baseline count otherwise than its modules do."""
    flops = next((row for row in baseline if row.metric == "flops"), None)
    counted = None if flops is None else flops.conditions.get("counted_by_operator")
    if flops is None or counted in (None, flops.value):
        return {}
    return {
        "flops": f"the baseline's operators count {counted:,}, dsx {flops.value:,.0f}: the network "
        "has products that are neither of a module nor of two matrices"
    }


def _measurements(study: StudyRow, *columns: Any) -> Any:
    """Select the newest number of each design and metric under the study's protocols."""
    kinds = ("protocol", "learned_protocol")
    protocols = [facts[k] for facts in study.metrics.values() for k in kinds if facts.get(k)]
    drawn = select(TrialRow.design).where(TrialRow.study == study.name)
    newest = (
        select(func.max(MeasurementRow.id))
        .where(MeasurementRow.device == study.device, MeasurementRow.protocol.in_(protocols))
        .where(MeasurementRow.design.in_(drawn))
        .group_by(MeasurementRow.design, MeasurementRow.metric)
    )
    return select(*columns).where(MeasurementRow.id.in_(newest))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One stored number of a study, with its making.

    Args:
        design: Design id.
        metric: Name of the metric.
        value: In the metric's unit.
        low: Lower end of the 95 % interval.
        high: Upper end.
        samples: How many samples it was taken from; 0 where it was counted.
        taken_at: In UTC.
        conditions: What else it depends on.
    """

    design: str
    metric: str
    value: float
    low: float
    high: float
    samples: int
    taken_at: datetime
    conditions: Mapping[str, Any]


def load_taken(engine: Engine, study: StudyRow) -> list[Taken]:
    """Read every number behind a study's designs, in the order in which they were taken.

    Args:
        engine: The database.
        study: The study.

    Returns:
        The numbers.
    """
    newest = _measurements(study, MeasurementRow).order_by(MeasurementRow.id)
    with Session(engine) as session:
        return [
            Taken(
                design=row.design,
                metric=row.metric,
                value=row.value,
                low=row.low,
                high=row.high,
                samples=len(row.samples) // 4,
                taken_at=row.taken_at,
                conditions=row.conditions,
            )
            for row in session.scalars(newest)
        ]


def _entry(trial: TrialRow, design: DesignRow, rows: Sequence[Row[Any]]) -> Entry:
    forms = next((row.conditions["forms"] for row in rows if "forms" in row.conditions), None)
    changed = [dials for dials in design.spec.values() if dials != _KEPT]
    return Entry(
        id=design.id,
        trial=trial.number,
        feasible=trial.feasible,
        metrics={
            row.metric: Value(value=row.value, low=row.low, high=row.high)
            for row in sorted(rows, key=lambda row: str(row.metric))
        },
        spec=design.spec,
        words=design.words,
        redesigned=len(changed),
        fallbacks=None
        if forms is None
        else sum(form == "dense" and design.spec[name] != _KEPT for name, form in forms.items()),
    )


def _conditions(study: StudyRow, device: dict[str, Any]) -> dict[str, str]:
    settings = study.metrics.get("latency_ms", {}).get("settings", {})
    timing = ("batch", "dtype", "threads", "deploy")
    return {
        "device": f"{device['processor']}, {device['cores']} cores, {device['memory_gib']} GiB",
        "versions": f"{device['system']}, Python {device['python']}, torch {device['torch']}",
        **{name: str(settings[name]) for name in timing if name in settings},
        "begun": f"{study.begun_at:%Y-%m-%d %H:%M} UTC",
    }


def front(study: str | None = None, *, storage: str = DEFAULT_STORAGE) -> Front:
    """Read the front of a study.

    Args:
        study: Its name; None for the newest one.
        storage: Any SQLAlchemy URL.

    Returns:
        The front, with every design that was measured to the end.

    Raises:
        StorageError: If the database cannot be opened, or has no such study.
    """
    return load_front(open_database(storage, create=False), study)
