"""Measurements, deployments and deployed forms of a device in a database."""

import array
import functools
import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dsx.analysis import DeploymentFacts
from dsx.conv.deploy import Choice
from dsx.measure import Device, Measurement, this_device
from dsx.plain import canonical_hash
from dsx.space import Design
from dsx.store.database.checked import DamagedRow, describe_damage
from dsx.store.database.engine import open_database, transaction
from dsx.store.database.schema import (
    Base,
    DeploymentRow,
    DesignRow,
    DeviceRow,
    FormRow,
    MeasurementRow,
    ProtocolRow,
    now,
)
from dsx.store.database.server import SERVER_SECONDS, repeated_if_lost
from dsx.store.measurements.readings import decoded, is_usable

FLUSH_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The deployed network of a design.

    Args:
        subject: Id of the deployed network.
        protocol: Id of the protocol under which the design was deployed.
        facts: Selected forms, folded batch norms and counts.
    """

    subject: str
    protocol: str
    facts: DeploymentFacts


class MeasurementStore:
    """The measurements of one device in one database.

    Args:
        engine: Engine of the database; its tables exist.
        device: Device whose measurements are read and written.
        read_only: Whether the database is opened for reading only.
    """

    def __init__(self, engine: Engine, device: Device, read_only: bool = False) -> None:
        self.engine = engine
        self.device = device.fingerprint
        self.read_only = read_only
        self._flushed = -math.inf
        if read_only:
            return
        facts = {name: getattr(device, name) for name in device.__dataclass_fields__}
        self.add_once(DeviceRow(fingerprint=self.device, facts=facts))

    def add_once(self, row: Base) -> None:
        """Write a row, and replace a row with the same key.

        Args:
            row: Row of any table.
        """
        try:
            self._merge(row)
        except IntegrityError:
            # Another process added the row in the meantime; now it is found.
            self._merge(row)
        except DamagedRow:
            self._replace(row)

    def add_new(self, row: Base) -> bool:
        """Write a row unless there is a row with the same key.

        Args:
            row: Row of any table.

        Returns:
            Whether the row was written.
        """
        try:
            with Session(self.engine) as session, session.begin():
                session.add(row)
        except IntegrityError:
            return False
        return True

    def _merge(self, row: Base) -> None:
        with Session(self.engine) as session, session.begin():
            session.merge(row)

    def _replace(self, row: Base) -> None:
        """Replace a row that cannot be read."""
        table = type(row).__table__
        values = {column.name: getattr(row, column.name) for column in table.columns}
        keys = [column == values[column.name] for column in table.primary_key]
        with Session(self.engine) as session, session.begin():
            session.execute(update(type(row)).where(*keys).values(**values))

    def facts(self, device: str) -> dict[str, Any]:
        """Load the properties of a device.

        Args:
            device: Fingerprint of the device.

        Returns:
            Property by name.

        Raises:
            DamagedRow: If the database has no row of the device.
        """
        with Session(self.engine) as session:
            row = session.get(DeviceRow, device)
        if row is None:
            raise DamagedRow(f"the database is damaged: dsx_devices has no row {device!r}")
        return row.facts

    def add_design(self, design: Design, description: str) -> None:
        """Store a design.

        Args:
            design: The design.
            description: Description of the design.
        """
        self.add_once(
            DesignRow(
                id=design.id,
                model=design.model,
                model_args=dict(design.model_args),
                spec=design.spec_json(),
                description=description,
            )
        )

    def add_protocol(self, name: str, settings: Mapping[str, Any]) -> str:
        """Store the protocol of a metric.

        Args:
            name: Name of the metric.
            settings: Settings on which the measurements depend, as plain JSON values.

        Returns:
            The protocol id.
        """
        settings = {"metric": name, **settings}
        protocol = canonical_hash(settings)
        self.add_once(ProtocolRow(id=protocol, metric=name, settings=settings))
        return protocol

    def find(self, subject: str, metric: str, protocol: str) -> Measurement | None:
        """Find the newest measurement on this device.

        Args:
            subject: Id of the deployed network for a timed metric, else the design id.
            metric: Name of the metric.
            protocol: Protocol id.

        Returns:
            The measurement; None if there is no undamaged one.
        """
        row = MeasurementRow
        query = (
            select(
                *(row.id, row.design, row.value, row.low, row.high),
                *(row.samples, row.examples, row.provenance, row.measured_at),
            )
            .where(
                row.subject == subject,
                row.metric == metric,
                row.protocol == protocol,
                row.device == self.device,
            )
            .order_by(row.id.desc())
        )
        with Session(self.engine) as session:
            found = session.execute(query)
            newest = next((one for one in found if is_usable(one._mapping)), None)
        if newest is None:
            return None
        return Measurement(
            value=newest.value,
            low=newest.low,
            high=newest.high,
            samples=array.array("f", newest.samples),
            provenance=newest.provenance,
            examples=decoded(newest.examples),
            number=newest.id,
            design=newest.design,
            subject=subject,
            metric=metric,
            protocol=protocol,
            device=self.device,
            measured_at=newest.measured_at,
        )

    def deployed(self, design: str, protocol: str) -> str | None:
        """Find the deployed network of a design on this device.

        Args:
            design: Design id.
            protocol: Id of the protocol under which the design is deployed.

        Returns:
            Id of the deployed network; None if the design has not been deployed yet.
        """
        with Session(self.engine) as session:
            try:
                row = session.get(DeploymentRow, (design, protocol, self.device))
            except DamagedRow:
                # The design is deployed again, which replaces the row.
                return None
            return None if row is None else row.subject

    def add_deployment(self, design: str, timed_as: str, deployment: Deployment) -> None:
        """Store the deployed network of a design, and replace an earlier deployment.

        Args:
            design: Design id.
            timed_as: Id of the protocol of the readings of the deployed network, which must exist.
            deployment: Deployed network of the design.
        """
        self.add_once(DeploymentRow(**self._deployment(design, timed_as, deployment)))

    def _deployment(self, design: str, timed_as: str, deployment: Deployment) -> dict[str, Any]:
        return {
            "design": design,
            "protocol": deployment.protocol,
            "device": self.device,
            "subject": deployment.subject,
            "timed_as": timed_as,
            "facts": deployment.facts,
        }

    def add(
        self,
        design: str,
        metric: str,
        protocol: str,
        reading: Measurement,
        deployment: Deployment | None = None,
    ) -> Measurement:
        """Commit a measurement, which is then safe from the end of this process.

        A measurement that took longer than a second is also safe from a power failure; shorter
        measurements of the last second are not. If the server is unreachable, this method waits.

        Args:
            design: Design id.
            metric: Name of the metric.
            protocol: Protocol id.
            reading: The measurement.
            deployment: Deployed network that was timed; None if the metric is not timed. It is
                stored in the same transaction, so that no design refers to a deployed network
                without a reading.

        Returns:
            The measurement with its stored identification and time.
        """
        row: dict[str, Any] = {
            "design": design,
            "subject": design if deployment is None else deployment.subject,
            "metric": metric,
            "protocol": protocol,
            "device": self.device,
            "measured_at": now(),
            "value": reading.value,
            "low": reading.low,
            "high": reading.high,
            "samples": array.array("f", reading.samples).tobytes(),
            "examples": None if reading.examples is None else reading.examples.content,
            "provenance": reading.provenance,
        }
        deployed = None if deployment is None else self._deployment(design, protocol, deployment)
        # A measurement of a second or longer started after the last flush. A flush includes all
        # earlier commits.
        durable = time.monotonic() - self._flushed >= FLUSH_SECONDS
        repeated_if_lost(lambda: self._add(row, deployed, durable))
        if durable:
            self._flushed = time.monotonic()
        named = ("design", "subject", "metric", "protocol", "device", "measured_at")
        return replace(reading, **{name: row[name] for name in named})

    def _add(
        self, row: Mapping[str, Any], deployed: Mapping[str, Any] | None, durable: bool
    ) -> None:
        """Write a measurement and the timed deployment in one transaction."""
        named = ("design", "metric", "protocol", "device", "measured_at")
        # The connection may have broken between the commit and its confirmation.
        written = select(MeasurementRow.id).filter_by(**{name: row[name] for name in named})
        for last in (False, True):
            try:
                with transaction(self.engine, durable) as session:
                    if session.scalar(written) is None:
                        session.add(MeasurementRow(**row))
                        if deployed is not None:
                            # Not merged, since merging reads the stored row, which may be damaged.
                            key = {
                                name: deployed[name] for name in ("design", "protocol", "device")
                            }
                            session.execute(delete(DeploymentRow).filter_by(**key))
                            session.execute(insert(DeploymentRow).values(**deployed))
            except IntegrityError:
                # Another process wrote the deployment in the meantime; now it is deleted first.
                if last:
                    raise
            else:
                return


def open_measurements(storage: str, patience: float = SERVER_SECONDS) -> MeasurementStore:
    """Open a database for measurements on this device; it is created if it does not exist.

    Args:
        storage: SQLAlchemy URL of the database.
        patience: Time to wait for a database server that becomes unreachable, in seconds.

    Returns:
        The measurements of this device.

    Raises:
        StorageError: If the database cannot be opened.
    """
    return MeasurementStore(open_database(storage, True, patience), this_device())


class FormCache(MutableMapping[str, Choice]):
    """The deployed forms selected on a device: the mapping that `deploy` reads and extends.

    Args:
        measurements: Measurements of the device, whose database holds the forms. If it is read
            only, new forms are kept in this object.
    """

    def __init__(self, measurements: MeasurementStore) -> None:
        self._measurements = measurements

    @functools.cached_property
    def _choices(self) -> dict[str, Choice]:
        """The stored forms, loaded when they are first needed."""
        store = self._measurements
        query = select(FormRow.situation, FormRow.form, FormRow.seconds)
        with Session(store.engine) as session:
            return {
                row.situation: Choice(form=row.form, seconds=row.seconds)
                for row in session.execute(query.where(FormRow.device == store.device))
                # The form of a damaged row is selected again, which replaces the row.
                if not describe_damage(FormRow.__table__, row._mapping)
            }

    def __getitem__(self, situation: str) -> Choice:
        return self._choices[_key(situation)]

    def __setitem__(self, situation: str, choice: Choice) -> None:
        self._choices[_key(situation)] = choice
        if self._measurements.read_only:
            return
        self._measurements.add_once(
            FormRow(
                device=self._measurements.device,
                situation=_key(situation),
                facts=json.loads(situation),
                form=choice.form,
                seconds=dict(choice.seconds),
            )
        )

    def __delitem__(self, situation: str) -> None:
        raise TypeError("a selected form is not deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)


def _key(situation: str) -> str:
    return hashlib.sha256(situation.encode()).hexdigest()
