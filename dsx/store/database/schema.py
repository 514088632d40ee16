"""Schema of the tables of dsx, which share a database with those of Optuna.

A change to these tables needs a migration: a file with the next number in `migrations/versions/`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dsx.analysis import DeploymentFacts, Provenance, TrialState
from dsx.store.database.checked import Checked, CheckedEnum, CheckedRecord, refuse_damaged

VERSION_TABLE = "dsx_schema_version"
"""Alembic's table for the schema version of dsx; that of Optuna is `alembic_version`."""


def now() -> datetime:
    """Return the current time in UTC without a time zone, which SQLite does not store."""
    return datetime.now(UTC).replace(tzinfo=None)


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Objectives = Annotated[dict[str, Literal["minimize", "maximize"]], Field(min_length=1)]
Forms = Literal["native", "portable"]
Lines = Checked(Text(), str)


class DeviceFacts(BaseModel):
    """Properties of a device that every version of dsx stores."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    torch: str


class MetricFacts(BaseModel):
    """Stored properties of a metric of a study."""

    unit: str
    direction: Literal["minimize", "maximize"]
    stage: Literal["static", "timed", "projected", "trained"]
    protocol: str
    learned_protocol: str | None = None
    settings: dict[str, Any]


def belongs_to_dsx(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Check whether part of a database belongs to dsx; Alembic compares nothing else.

    Args:
        name: Name of the part; None for the default schema of the database.
        kind: Kind of the part: "schema", "table", "column", "index" and others.
        parents: Names of the schema and the table to which the part belongs.
    """
    return kind != "table" or str(name).startswith("dsx_")


def _object(kind: Any) -> Checked:
    return Checked(JSON(), kind)


class Base(DeclarativeBase):
    """The base class of all tables, with the column type of each Python type."""

    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: _object(dict[str, Any]),
        str: Checked(String(255), str),
        int: Checked(Integer(), int),
        float: Checked(Double(), Finite),
        bool: Checked(Boolean(), bool),
        bytes: Checked(LargeBinary(), bytes),
        datetime: Checked(DateTime(), datetime),
    }


event.listen(Base, "load", refuse_damaged, propagate=True)
event.listen(Base, "refresh", refuse_damaged, propagate=True)


class DatabaseRow(Base):
    """The id of the database, by which its files are recognised; the table has one row."""

    __tablename__ = "dsx_database"
    id: Mapped[str] = mapped_column(primary_key=True)


class DeviceRow(Base):
    """A device, identified by its fingerprint."""

    __tablename__ = "dsx_devices"
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any]] = mapped_column(_object(DeviceFacts))


class DesignRow(Base):
    """A design, identified by its id: equal designs of all studies share one row."""

    __tablename__ = "dsx_designs"
    id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    model_args: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any]] = mapped_column(_object(dict[str, dict[str, Any]]))
    description: Mapped[str] = mapped_column(Lines)


class ProtocolRow(Base):
    """A measurement protocol of a metric, identified by the hash of its settings."""

    __tablename__ = "dsx_protocols"
    id: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str]
    settings: Mapped[dict[str, Any]]

    @property
    def family(self) -> str:
        """The settings without the training seed, which all seeds have in common."""
        return json.dumps(_unseeded(self.settings), sort_keys=True)

    @property
    def seed(self) -> int | None:
        """The training seed; None if the measurements do not depend on a training."""
        return _seed(self.settings)

    @property
    def learned(self) -> bool:
        """Whether the measured designs have learned shapes, which depend on the training."""
        return "learned_shapes" in self.settings


class MeasurementRow(Base):
    """A measurement with its provenance.

    Attributes:
        design: Id of the design for which the reading was taken.
        subject: Id of the measured object: the deployed network for a timed metric, the design for
            any other metric.
        examples: Encoded results per validation example; NULL if there are none.
    """

    __tablename__ = "dsx_measurements"
    id: Mapped[int] = mapped_column(primary_key=True)
    design: Mapped[str] = mapped_column(ForeignKey(DesignRow.id))
    subject: Mapped[str]
    metric: Mapped[str]
    protocol: Mapped[str] = mapped_column(ForeignKey(ProtocolRow.id))
    device: Mapped[str] = mapped_column(ForeignKey(DeviceRow.fingerprint))
    value: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    samples: Mapped[bytes]
    examples: Mapped[bytes | None]
    provenance: Mapped[Provenance] = mapped_column(CheckedRecord(Provenance))
    measured_at: Mapped[datetime] = mapped_column(default=now)
    __table_args__ = (Index("dsx_measured", "subject", "metric", "protocol", "device"),)


class DeploymentRow(Base):
    """The deployed network of a design; equal deployed networks share their readings.

    Attributes:
        protocol: Id of the protocol under which the design was deployed; with learned shapes it
            includes the training.
        subject: Id of the deployed network.
        timed_as: Id of the protocol of the readings, which does not include the training.
        facts: Selected forms, folded batch norms and counts.
    """

    __tablename__ = "dsx_deployments"
    design: Mapped[str] = mapped_column(ForeignKey(DesignRow.id), primary_key=True)
    protocol: Mapped[str] = mapped_column(ForeignKey(ProtocolRow.id), primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey(DeviceRow.fingerprint), primary_key=True)
    subject: Mapped[str]
    timed_as: Mapped[str] = mapped_column(ForeignKey(ProtocolRow.id))
    facts: Mapped[DeploymentFacts] = mapped_column(CheckedRecord(DeploymentFacts))
    __table_args__ = (Index("dsx_deployed", "subject", "timed_as", "device"),)


class FormRow(Base):
    """The fastest deployed form in a situation on a device."""

    __tablename__ = "dsx_forms"
    device: Mapped[str] = mapped_column(ForeignKey(DeviceRow.fingerprint), primary_key=True)
    situation: Mapped[str] = mapped_column(Checked(String(64), str), primary_key=True)
    facts: Mapped[dict[str, Any]]
    form: Mapped[str]
    seconds: Mapped[dict[str, Any]] = mapped_column(_object(dict[str, Finite]))


class ReferenceTimeRow(Base):
    """The time of a reference workload on a device that is otherwise idle, in a situation."""

    __tablename__ = "dsx_reference_times"
    device: Mapped[str] = mapped_column(ForeignKey(DeviceRow.fingerprint), primary_key=True)
    situation: Mapped[str] = mapped_column(primary_key=True)
    milliseconds: Mapped[float] = mapped_column(Checked(Double(), Positive))


class StudyRow(Base):
    """A study: search space, device, objectives, baseline and reference point.

    Attributes:
        deploy: Forms of the deployed networks, with `auto` resolved; None for a study that was
            created with schema version 1, whose timed metrics have them in their settings.
    """

    __tablename__ = "dsx_studies"
    name: Mapped[str] = mapped_column(primary_key=True)
    space: Mapped[str]
    space_text: Mapped[str] = mapped_column(Lines)
    device: Mapped[str] = mapped_column(ForeignKey(DeviceRow.fingerprint))
    seed: Mapped[int] = mapped_column(Checked(BigInteger(), int))
    baseline: Mapped[str] = mapped_column(ForeignKey(DesignRow.id))
    objectives: Mapped[dict[str, Any]] = mapped_column(_object(Objectives))
    metrics: Mapped[dict[str, Any]] = mapped_column(_object(dict[str, MetricFacts]))
    reference: Mapped[dict[str, Any]] = mapped_column(_object(dict[str, Finite]))
    created_at: Mapped[datetime] = mapped_column(default=now)
    deploy: Mapped[str | None] = mapped_column(Checked(String(255), Forms))


class TrialRow(Base):
    """A trial of a study: one sampled design and its outcome."""

    __tablename__ = "dsx_trials"
    study: Mapped[str] = mapped_column(ForeignKey(StudyRow.name), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    design: Mapped[str | None] = mapped_column(ForeignKey(DesignRow.id))
    state: Mapped[TrialState] = mapped_column(CheckedEnum(TrialState))
    reason: Mapped[str] = mapped_column(Lines, default="")
    feasible: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class TrialDetailRow(Base):
    """Details of a trial that failed or violates a constraint; other trials have no row.

    Attributes:
        traceback: Traceback of the failure; empty for a trial that did not fail.
        violations: Amount by which the value exceeds the bound, by violated constraint.
    """

    __tablename__ = "dsx_trial_details"
    study: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    traceback: Mapped[str] = mapped_column(Lines, default="")
    violations: Mapped[dict[str, Any]] = mapped_column(_object(dict[str, Positive]))


class WeightFileRow(Base):
    """A file of trained weights or a checkpoint, recorded before dsx writes it.

    dsx reads, replaces and deletes only recorded files that still hold what was written.
    """

    __tablename__ = "dsx_weight_files"
    id: Mapped[int] = mapped_column(primary_key=True)
    study: Mapped[str]
    design: Mapped[str]
    training: Mapped[str]
    file: Mapped[str]
    # Both are NULL for a checkpoint, whose content changes during the training.
    size: Mapped[int | None] = mapped_column(Checked(BigInteger(), int))
    sha256: Mapped[str | None]
    __table_args__ = (Index("dsx_weight_files_of", "design", "training"),)


class LeaseRow(Base):
    """The exclusive right of a process to run a study; host and pid are used in messages only."""

    __tablename__ = "dsx_leases"
    study: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[str]
    counter: Mapped[int]
    host: Mapped[str]
    pid: Mapped[int]


_SEEDED = ("train", "learned_shapes")
"""Keys of nested settings that may contain a training seed."""


def _unseeded(settings: Any) -> Any:
    if not isinstance(settings, Mapping):
        return settings
    return {
        name: _unseeded(value) if name in _SEEDED else value
        for name, value in settings.items()
        if name != "seed"
    }


def _seed(settings: Any) -> int | None:
    if not isinstance(settings, Mapping):
        return None
    seeds = [settings.get("seed"), *(_seed(settings.get(name)) for name in _SEEDED)]
    return next((seed for seed in seeds if isinstance(seed, int)), None)
