"""Readings: what is stored of a study's designs, under its protocols and those of other seeds."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from dsx.study.front import Value
from dsx.study.pool import Stored, pool_all
from dsx.study.tables import MeasurementRow, ProtocolRow, StudyRow, TrialRow

Readings = defaultdict[str, defaultdict[str, list[Stored]]]
"""Design id and device to the readings, the newest last; none where nothing was measured."""


def load_readings(session: Session, study: StudyRow) -> Readings:
    """Read what was measured of the designs that a study drew, on any device.

    Args:
        session: Of the database.
        study: The study.

    Returns:
        The readings under protocols of the study's families.
    """
    protocols = _protocols(session, study)
    return _stored(session, _of_study(_without_samples(), study, list(protocols)), protocols)


def load_under(engine: Engine, protocols: Collection[str]) -> Readings:
    """Read what was measured under some protocols, of whatever study or of none.

    Args:
        engine: The database.
        protocols: Their ids.

    Returns:
        The readings, of all devices.
    """
    query = _without_samples().where(MeasurementRow.protocol.in_(protocols))
    with Session(engine) as session:
        rows = session.scalars(select(ProtocolRow).where(ProtocolRow.id.in_(protocols)))
        return _stored(session, query.order_by(MeasurementRow.id), {row.id: row for row in rows})


def _without_samples() -> Select[Any]:
    """Ask for readings without their samples, which are most of the bytes and seldom needed."""
    row = MeasurementRow
    return select(
        *(row.id, row.design, row.device, row.metric, row.protocol, row.value, row.low, row.high),
        *(row.conditions, (func.length(row.samples) > 0).label("timed")),
    )


def _stored(session: Session, query: Select[Any], protocols: Mapping[str, ProtocolRow]) -> Readings:
    # Parsed once a protocol, not once a reading.
    depends = {name: (row.seed, row.learned) for name, row in protocols.items()}
    found: Readings = defaultdict(lambda: defaultdict(list))
    for taken in session.execute(query):
        seed, learned = depends[taken.protocol]
        reading = Stored(
            order=taken.id,
            metric=taken.metric,
            seed=seed,
            value=taken.value,
            low=taken.low,
            high=taken.high,
            timed=bool(taken.timed),
            learned=learned,
            conditions=taken.conditions,
        )
        found[taken.design][taken.device].append(reading)
    return found


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One stored number of a study, with its making.

    Args:
        design: Design id.
        device: Fingerprint of the device that it was taken on.
        metric: Name of the metric.
        seed: Of the training that it depends on, if it does.
        value: In the metric's unit.
        low: Lower end of the 95 % interval.
        high: Upper end.
        samples: How many samples it was taken from; 0 where it was counted.
        taken_at: In UTC.
        conditions: What else it depends on.
    """

    design: str
    device: str
    metric: str
    seed: int | None
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
        The numbers, of all devices.
    """
    with Session(engine) as session:
        protocols = _protocols(session, study)
        query = _of_study(select(MeasurementRow), study, list(protocols))
        return [
            Taken(
                design=row.design,
                device=row.device,
                metric=row.metric,
                seed=protocols[row.protocol].seed,
                value=row.value,
                low=row.low,
                high=row.high,
                samples=len(row.samples) // 4,
                taken_at=row.taken_at,
                conditions=row.conditions,
            )
            for row in session.scalars(query)
        ]


def load_own(engine: Engine, study: StudyRow, design: str, device: str) -> dict[str, Value]:
    """Read the numbers that a study's own training gave of a design: those of its weights.

    Args:
        engine: The database.
        study: The study.
        design: Design id.
        device: Fingerprint of the device that measured it.

    Returns:
        Metric to number under the study's own protocol, not those of other seeds.
    """
    readings = load_under(engine, _own(study))
    of_device = {one: of[device] for one, of in readings.items() if device in of}
    if design not in of_device:
        return {}
    units = {metric: facts["unit"] for metric, facts in study.metrics.items()}
    return pool_all(of_device, units)[design]


def _own(study: StudyRow) -> list[str]:
    kinds = ("protocol", "learned_protocol")
    return [facts[kind] for facts in study.metrics.values() for kind in kinds if facts.get(kind)]


def _protocols(session: Session, study: StudyRow) -> dict[str, ProtocolRow]:
    """Find a study's protocols, and those that differ from one of them in the training seed."""
    own = set(_own(study))
    rows = session.scalars(select(ProtocolRow).where(ProtocolRow.metric.in_(study.metrics))).all()
    families = {row.family for row in rows if row.id in own}
    return {row.id: row for row in rows if row.family in families}


def _of_study(query: Select[Any], study: StudyRow, protocols: Sequence[str]) -> Select[Any]:
    drawn = select(TrialRow.design).where(TrialRow.study == study.name)
    return query.where(
        MeasurementRow.protocol.in_(protocols), MeasurementRow.design.in_(drawn)
    ).order_by(MeasurementRow.id)
