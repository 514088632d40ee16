"""The study of a command, opened once."""

from dataclasses import dataclass

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from dsx.errors import StorageError, unknown
from dsx.measure import Device, this_device
from dsx.store.database.engine import open_database, open_existing
from dsx.store.database.schema import StudyRow
from dsx.store.database.server import SERVER_SECONDS
from dsx.store.measurements.calibration import Calibration
from dsx.store.measurements.measurements import FormCache, MeasurementStore
from dsx.store.studies.names import check_study_name
from dsx.store.weights.weights import Weights, training_id


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study with its database, device, caches and weights.

    Args:
        engine: Engine of the database.
        row: Row of the study.
        device: This device.
        measurements: Measurements of this device.
        form_cache: Deployed forms selected on this device.
        reference_times: Reference times of this device.
        weights: Weight files of the study.
    """

    engine: Engine
    row: StudyRow
    device: Device
    measurements: MeasurementStore
    form_cache: FormCache
    reference_times: Calibration
    weights: Weights

    @classmethod
    def open(
        cls,
        storage: str,
        name: str | None,
        *,
        writable: bool = False,
        patience: float = SERVER_SECONDS,
    ) -> "Study":
        """Open a study.

        Args:
            storage: SQLAlchemy URL of the database.
            name: Name of the study; None for the newest study.
            writable: Whether to open the database for writing. Otherwise nothing is written, and
                the database may be located on a read-only file system.
            patience: Time to wait for a database server that becomes unreachable, in seconds.

        Returns:
            The study.

        Raises:
            StorageError: If the database cannot be opened or does not contain the study.
        """
        engine = open_existing(storage, patience) if writable else open_database(storage, False)
        row = find_study(engine, name)
        measurements = MeasurementStore(engine, this_device(), read_only=not writable)
        return cls.of(engine, storage, row, measurements)

    @classmethod
    def of(
        cls, engine: Engine, storage: str, row: StudyRow, measurements: MeasurementStore
    ) -> "Study":
        """Bundle a study with objects that are already open.

        Args:
            engine: Engine of the database, which may write only while a lease is held.
            storage: SQLAlchemy URL of the database.
            row: Row of the study.
            measurements: Measurements of this device in the same database.

        Returns:
            The study.
        """
        trained = {n: facts for n, facts in row.metrics.items() if facts["stage"] == "trained"}
        training = training_id({name: facts["protocol"] for name, facts in trained.items()})
        return cls(
            engine=engine,
            row=row,
            device=this_device(),
            measurements=measurements,
            form_cache=FormCache(measurements),
            reference_times=Calibration(measurements),
            weights=Weights(engine, storage, row.name, training),
        )


def named_studies() -> Select[StudyRow]:
    """Return a query for the studies, newest last, without damaged rows that have no name."""
    query = select(StudyRow).where(StudyRow.name.is_not(None))
    return query.order_by(StudyRow.created_at, StudyRow.name)


def find_study(engine: Engine, name: str | None) -> StudyRow:
    """Find a study.

    Args:
        engine: Engine of the database.
        name: Name of the study; None for the newest study.

    Returns:
        The row of the study.

    Raises:
        StorageError: If there is no such study.
    """
    if name is not None:
        check_study_name(name)
    with Session(engine, expire_on_commit=False) as session:
        rows = session.scalars(named_studies()).all()
    if not rows:
        raise StorageError("the database contains no study yet; `dsx search` creates one")
    if name is None:
        return rows[-1]
    for row in rows:
        if row.name == name:
            return row
    raise StorageError(unknown("study", name, [row.name for row in rows]))
