"""Readings: what is stored of a study's designs, under its protocols and those of other seeds."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Engine, Select, Subquery, and_, func, select, union_all
from sqlalchemy.orm import Session

from dsx.analysis import Estimate, Measurement, aggregate_all, row_number
from dsx.store.database.checked import damage
from dsx.store.database.schema import DeploymentRow, MeasurementRow, ProtocolRow, StudyRow, TrialRow

SAMPLE_BYTES = 4


class Readings(defaultdict[str, defaultdict[str, list[Measurement]]]):
    """Design id and device to the readings, the newest last; none where nothing was measured.

    Attributes:
        damaged: Row numbers of the readings that were left out because they cannot be used.
    """

    def __init__(self) -> None:
        super().__init__(lambda: defaultdict(list))
        self.damaged: list[int] = []


def load_readings(session: Session, study: StudyRow) -> Readings:
    """Read what was measured of the designs that a study drew, on any device.

    Args:
        session: Of the database.
        study: The study.

    Returns:
        The readings under protocols of the study's families. Those of a deployed network are
        listed for each design that runs as it, not only for the one they were taken for.
    """
    protocols = _protocols(session, study)
    return _stored(session, _counting(protocols, _drawn(study)), protocols)


def load_under(engine: Engine, protocols: Collection[str]) -> Readings:
    """Read what was measured under some protocols, of whatever study or of none.

    Args:
        engine: The database.
        protocols: Their ids.

    Returns:
        The readings, of all devices.
    """
    with Session(engine) as session:
        rows = session.scalars(select(ProtocolRow).where(ProtocolRow.id.in_(protocols)))
        return _stored(session, _counting(protocols), {row.id: row for row in rows})


@dataclass(frozen=True, kw_only=True)
class DeployedAs:
    """Deployed network of a design on a device.

    Args:
        subject: Id of the deployed network.
        forms: Form of each convolution that has a choice, by name.
        params: Numbers that the network holds; None where they were not counted.
        flops: Multiply-adds of the network; None where they were not counted.
        folded: Batch norms folded into a convolution.
        unfolded: Batch norms that the deployed network still computes.
    """

    subject: str
    forms: Mapping[str, str]
    params: int | None = None
    flops: int | None = None
    folded: int = 0
    unfolded: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Flops and params of the deployed network by metric, as far as they are known."""
        known = {"flops": self.flops, "params": self.params}
        return {name: number for name, number in known.items() if number is not None}


def load_deployed(session: Session, study: StudyRow) -> dict[tuple[str, str], DeployedAs]:
    """Read what the designs that a study drew run as.

    Args:
        session: Session of the database.
        study: The study.

    Returns:
        Design id and device to the deployed network.
    """
    # Those of the study's own training come last, in place of those of other seeds.
    own = set(_own(study))
    row = DeploymentRow
    rows = session.execute(
        select(row.design, row.device, row.protocol, row.subject, row.facts)
        .where(DeploymentRow.protocol.in_(_protocols(session, study)))
        .where(DeploymentRow.design.in_(_drawn(study)))
    )
    return {
        (row.design, row.device): DeployedAs(
            subject=row.subject,
            forms=row.facts.forms,
            params=row.facts.deployed_params,
            flops=row.facts.deployed_flops,
            folded=row.facts.folded_norms,
            unfolded=row.facts.unfolded_norms,
        )
        for row in sorted(rows, key=lambda row: (row.protocol in own, row.protocol))
        if not damage(DeploymentRow.__table__, row._mapping)
    }


def _drawn(study: StudyRow) -> Select[Any]:
    return select(TrialRow.design).where(TrialRow.study == study.name)


def _counting(
    protocols: Collection[str], designs: Select[Any] | None = None
) -> CompoundSelect[Any]:
    """Ask which readings count for which design (`of`), and under which protocol (`under`).

    Args:
        protocols: Ids of the protocols.
        designs: Ids of the designs; None for all.
    """
    row, deployed = MeasurementRow, DeploymentRow
    own = select(row.id, row.design.label("of"), row.protocol.label("under")).where(
        row.protocol.in_(protocols), row.subject == row.design
    )
    shared = (
        select(row.id, deployed.design.label("of"), deployed.protocol.label("under"))
        .join(
            deployed,
            and_(
                deployed.subject == row.subject,
                deployed.timed_as == row.protocol,
                deployed.device == row.device,
            ),
        )
        .where(deployed.protocol.in_(protocols))
    )
    if designs is not None:
        own, shared = own.where(row.design.in_(designs)), shared.where(deployed.design.in_(designs))
    return union_all(own, shared)


def _without_samples(counts: Subquery) -> Select[Any]:
    """Ask for readings without their samples, which are most of the bytes and seldom needed."""
    row = MeasurementRow
    query = select(
        *(counts.c.of, counts.c.under, row.id, row.subject, row.metric, row.protocol),
        *(row.device, row.value, row.low, row.high, row.provenance, row.measured_at),
        *(func.length(row.samples).label("bytes"),),
    )
    return query.join(counts, counts.c.id == row.id).order_by(row.id)


def _stored(
    session: Session, counting: CompoundSelect[Any], protocols: Mapping[str, ProtocolRow]
) -> Readings:
    # Parsed once a protocol, not once a reading.
    depends = {name: (row.seed, row.learned) for name, row in protocols.items()}
    found = Readings()
    row, counts = MeasurementRow, counting.subquery()
    query = _without_samples(counts).add_columns((row.subject != row.design).label("deployed"))
    for stored in session.execute(query):
        if not usable(stored._mapping):
            found.damaged.append(stored.id)
            continue
        seed, learned = depends[stored.under]
        reading = Measurement(
            value=stored.value,
            low=stored.low,
            high=stored.high,
            provenance=stored.provenance,
            number=stored.id,
            design=stored.of,
            subject=stored.subject,
            metric=stored.metric,
            protocol=stored.protocol,
            device=stored.device,
            seed=seed,
            # The id of a deployed network covers its shapes, so no training is involved.
            learned=learned and not stored.deployed,
            measured_at=stored.measured_at,
            sample_count=stored.bytes // SAMPLE_BYTES,
        )
        found[stored.of][stored.device].append(reading)
    return found


def usable(row: Mapping[Any, Any]) -> bool:
    """Check whether a stored reading can be used.

    Args:
        row: Its values by the name of their column, and its samples or, as `bytes`, their length.

    Returns:
        False if a value is missing, not finite or of another type, the interval does not contain
        the value, or the samples are not whole numbers of 4 bytes.
    """
    if damage(MeasurementRow.__table__, row):
        return False
    # Of samples that are NULL the database knows no length.
    length = row["bytes"] if "bytes" in row else len(row["samples"])
    if length is None or length % SAMPLE_BYTES:
        return False
    return bool(row["low"] <= row["value"] <= row["high"])


def load_measurements(engine: Engine, study: StudyRow) -> list[Measurement]:
    """Load every measurement of a study's designs, in the order in which they were stored.

    Args:
        engine: The database.
        study: The study.

    Returns:
        The measurements of all devices, without their samples.
    """
    with Session(engine) as session:
        readings = load_readings(session, study)
    found = [one for of in readings.values() for each in of.values() for one in each]
    return sorted(found, key=row_number)


def load_own(engine: Engine, study: StudyRow, design: str, device: str) -> dict[str, Estimate]:
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
    return aggregate_all(of_device, units)[design]


def _own(study: StudyRow) -> list[str]:
    kinds = ("protocol", "learned_protocol")
    return [facts[kind] for facts in study.metrics.values() for kind in kinds if facts.get(kind)]


def _protocols(session: Session, study: StudyRow) -> dict[str, ProtocolRow]:
    """Find a study's protocols, and those that differ from one of them in the training seed."""
    own = set(_own(study))
    rows = session.scalars(select(ProtocolRow).where(ProtocolRow.metric.in_(study.metrics))).all()
    families = {row.family for row in rows if row.id in own}
    return {row.id: row for row in rows if row.family in families}
