"""Readings: what is stored of a study's designs, under its protocols and those of other seeds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from dsx.study.pool import Stored
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
    protocols = {name: (row.seed, row.learned) for name, row in _protocols(session, study).items()}
    # Without the samples, which are most of the bytes and which a front does not need.
    row = MeasurementRow
    query = select(
        *(row.id, row.design, row.device, row.metric, row.protocol, row.value, row.low, row.high),
        *(row.conditions, (func.length(row.samples) > 0).label("timed")),
    )
    found: Readings = defaultdict(lambda: defaultdict(list))
    for taken in session.execute(_of_study(query, study, list(protocols))):
        seed, learned = protocols[taken.protocol]
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


def load_own(engine: Engine, study: StudyRow, design: str, device: str) -> dict[str, float]:
    """Read the numbers that a study's own training gave of a design: those of its weights.

    Args:
        engine: The database.
        study: The study.
        design: Design id.
        device: Fingerprint of the device that measured it.

    Returns:
        Metric to the newest number under the study's own protocol, not those of other seeds.
    """
    query = (
        select(MeasurementRow.metric, MeasurementRow.value)
        .where(MeasurementRow.design == design, MeasurementRow.device == device)
        .where(MeasurementRow.protocol.in_(_own(study)))
        .order_by(MeasurementRow.id)
    )
    with Session(engine) as session:
        # A later one takes the place of an earlier one.
        return {row.metric: row.value for row in session.execute(query)}


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
