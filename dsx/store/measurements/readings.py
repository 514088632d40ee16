"""Stored readings of the designs of a study, including those of other training seeds."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Engine, Select, Subquery, and_, func, select, union_all
from sqlalchemy.orm import Session

from dsx.analysis import Estimate, ExampleResults, Measurement, aggregate_all, row_number
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import DeploymentRow, MeasurementRow, ProtocolRow, StudyRow, TrialRow

SAMPLE_BYTES = 4


class Readings(defaultdict[str, defaultdict[str, list[Measurement]]]):
    """Readings by design id and device, newest last; empty for a design without readings.

    Attributes:
        damaged: Row numbers of the readings that are excluded because they are damaged.
    """

    def __init__(self) -> None:
        super().__init__(lambda: defaultdict(list))
        self.damaged: list[int] = []


def load_readings(session: Session, study: StudyRow) -> Readings:
    """Load the readings of the sampled designs of a study on all devices.

    Args:
        session: Session of the database.
        study: Row of the study.

    Returns:
        The readings under the protocols of the study with any training seed. Those of a deployed
        network are listed for each design with this deployed network.
    """
    protocols = _protocols(session, study)
    return _stored(session, _applicable(protocols, _sampled(study)), protocols)


def load_readings_under(engine: Engine, protocols: Collection[str]) -> Readings:
    """Load the readings under some protocols, regardless of studies.

    Args:
        engine: Engine of the database.
        protocols: Ids of the protocols.

    Returns:
        The readings on all devices.
    """
    with Session(engine) as session:
        rows = session.scalars(select(ProtocolRow).where(ProtocolRow.id.in_(protocols)))
        return _stored(session, _applicable(protocols), {row.id: row for row in rows})


@dataclass(frozen=True, kw_only=True)
class DeployedAs:
    """The deployed network of a design on a device.

    Args:
        subject: Id of the deployed network.
        forms: Deployed form by name of the convolution, for those with a choice.
        params: Number of stored values of the network; None if they were not counted.
        flops: Number of multiply-adds of the network; None if they were not counted.
        folded: Number of batch norms that are folded into a convolution.
        unfolded: Number of batch norms that the deployed network still computes.
    """

    subject: str
    forms: Mapping[str, str]
    params: int | None = None
    flops: int | None = None
    folded: int = 0
    unfolded: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """FLOPs and parameters of the deployed network by metric, without unknown ones."""
        counts = {"flops": self.flops, "params": self.params}
        return {name: number for name, number in counts.items() if number is not None}


def load_deployed(session: Session, study: StudyRow) -> dict[tuple[str, str], DeployedAs]:
    """Load the deployed networks of the sampled designs of a study.

    Args:
        session: Session of the database.
        study: Row of the study.

    Returns:
        Deployed network by design id and device.
    """
    # Sorted so that those of the training of the study replace those of other seeds.
    own = set(_own(study))
    row = DeploymentRow
    rows = session.execute(
        select(row.design, row.device, row.protocol, row.subject, row.facts)
        .where(DeploymentRow.protocol.in_(_protocols(session, study)))
        .where(DeploymentRow.design.in_(_sampled(study)))
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
        if not describe_damage(DeploymentRow.__table__, row._mapping)
    }


def _sampled(study: StudyRow) -> Select[Any]:
    return select(TrialRow.design).where(TrialRow.study == study.name)


def _applicable(
    protocols: Collection[str], designs: Select[Any] | None = None
) -> CompoundSelect[Any]:
    """Select which readings apply to which design (`of`) and protocol (`under`).

    Args:
        protocols: Ids of the protocols.
        designs: Query for the ids of the designs; None for all designs.
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
    """Select readings without their samples, which are large and rarely needed."""
    row = MeasurementRow
    query = select(
        *(counts.c.of, counts.c.under, row.id, row.subject, row.metric, row.protocol),
        *(row.device, row.value, row.low, row.high, row.examples, row.provenance),
        row.measured_at,
        *(func.length(row.samples).label("bytes"),),
    )
    return query.join(counts, counts.c.id == row.id).order_by(row.id)


def _stored(
    session: Session, applicable: CompoundSelect[Any], protocols: Mapping[str, ProtocolRow]
) -> Readings:
    # Parsed once per protocol rather than once per reading.
    training = {name: (row.seed, row.learned) for name, row in protocols.items()}
    found = Readings()
    row, counts = MeasurementRow, applicable.subquery()
    query = _without_samples(counts).add_columns((row.subject != row.design).label("deployed"))
    for stored in session.execute(query):
        if not is_usable(stored._mapping):
            found.damaged.append(stored.id)
            continue
        seed, learned = training[stored.under]
        reading = Measurement(
            value=stored.value,
            low=stored.low,
            high=stored.high,
            provenance=stored.provenance,
            examples=decoded(stored.examples),
            number=stored.id,
            design=stored.of,
            subject=stored.subject,
            metric=stored.metric,
            protocol=stored.protocol,
            device=stored.device,
            seed=seed,
            # The id of a deployed network covers its shapes and is independent of the training.
            learned=learned and not stored.deployed,
            measured_at=stored.measured_at,
            sample_count=stored.bytes // SAMPLE_BYTES,
        )
        found[stored.of][stored.device].append(reading)
    return found


def is_usable(row: Mapping[Any, Any]) -> bool:
    """Check whether a stored reading can be used.

    Args:
        row: Values of the row by column name, including the samples or their length as `bytes`.

    Returns:
        False if a value is missing, not finite or of another type, if the interval does not contain
        the value, if the length of the samples is not a multiple of 4 bytes, or if the results per
        example cannot be decoded.
    """
    if describe_damage(MeasurementRow.__table__, row):
        return False
    # The length of samples that are NULL is NULL.
    length = row["bytes"] if "bytes" in row else len(row["samples"])
    if length is None or length % SAMPLE_BYTES:
        return False
    try:
        decoded(row.get("examples"))
    except ValueError:
        return False
    return bool(row["low"] <= row["value"] <= row["high"])


def decoded(content: bytes | None) -> ExampleResults | None:
    """Decode the results per example of a reading.

    Args:
        content: Encoded results; None if there are none.

    Returns:
        The results; None if there are none.

    Raises:
        ValueError: If the content cannot be decoded.
    """
    return None if content is None else ExampleResults(content)


def load_measurements(engine: Engine, study: StudyRow) -> list[Measurement]:
    """Load all measurements of the designs of a study.

    Args:
        engine: Engine of the database.
        study: Row of the study.

    Returns:
        The measurements on all devices without samples, in the order in which they were stored.
    """
    with Session(engine) as session:
        readings = load_readings(session, study)
    found = [one for of in readings.values() for each in of.values() for one in each]
    return sorted(found, key=row_number)


def load_own_estimates(
    engine: Engine, study: StudyRow, design: str, device: str
) -> dict[str, Estimate]:
    """Load the estimates of a design for its stored weights, from the training of the study.

    Args:
        engine: Engine of the database.
        study: Row of the study.
        design: Design id.
        device: Fingerprint of the device of the measurements.

    Returns:
        Estimate by metric under the protocols of the study, without other training seeds.
    """
    readings = load_readings_under(engine, _own(study))
    of_device = {one: of[device] for one, of in readings.items() if device in of}
    if design not in of_device:
        return {}
    units = {metric: facts["unit"] for metric, facts in study.metrics.items()}
    return aggregate_all(of_device, units)[design]


def _own(study: StudyRow) -> list[str]:
    kinds = ("protocol", "learned_protocol")
    return [facts[kind] for facts in study.metrics.values() for kind in kinds if facts.get(kind)]


def _protocols(session: Session, study: StudyRow) -> dict[str, ProtocolRow]:
    """Load the protocols of a study and those that differ only in the training seed."""
    own = set(_own(study))
    rows = session.scalars(select(ProtocolRow).where(ProtocolRow.metric.in_(study.metrics))).all()
    families = {row.family for row in rows if row.id in own}
    return {row.id: row for row in rows if row.family in families}
