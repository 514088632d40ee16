"""Calibration of a device: the stored reference times of the reference workloads.

A database stores its own reference times, so that its measurements remain comparable. A new
database copies those of this machine from the user's cache, so that measurements of several
databases are comparable as well.
"""

import functools
import json
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from platformdirs import user_cache_path
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx import files
from dsx.errors import WorkFailed
from dsx.files import open_regular
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import ReferenceTimeRow
from dsx.store.measurements.measurements import MeasurementStore

FILE = "reference_times.json"
MAX_BYTES = 2**20
"""Maximum size of the file that is read; it has about 100 bytes per device and situation."""
Content = dict[str, dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]]
_CONTENT = TypeAdapter(Content)


class Calibration(MutableMapping[str, float]):
    """Reference times in milliseconds by situation: the mapping that timings read and extend.

    Args:
        measurements: Measurements of this device, whose database holds the reference times. If it
            is read only, new reference times are not written to it.
    """

    def __init__(self, measurements: MeasurementStore) -> None:
        self._measurements = measurements
        self._machine = MachineReferenceTimes(measurements.device)

    @functools.cached_property
    def _known(self) -> dict[str, float]:
        """The stored reference times, loaded when they are first needed."""
        return _stored(self._measurements.engine, self._measurements.device)

    def __getitem__(self, situation: str) -> float:
        if situation not in self._known:
            self._add(situation, self._machine[situation])
        return self._known[situation]

    def __setitem__(self, situation: str, milliseconds: float) -> None:
        self._add(situation, milliseconds)
        self._machine[situation] = milliseconds

    def _add(self, situation: str, milliseconds: float) -> None:
        if not self._measurements.read_only:
            milliseconds = self._agreed(situation, milliseconds)
        self._known[situation] = milliseconds

    def _agreed(self, situation: str, milliseconds: float) -> float:
        """Store a reference time unless another process was first; return the stored one."""
        measurements, device = self._measurements, self._measurements.device

        def row() -> ReferenceTimeRow:
            return ReferenceTimeRow(device=device, situation=situation, milliseconds=milliseconds)

        stored = _stored(measurements.engine, device)
        if situation not in stored:
            if measurements.add_new(row()):
                return milliseconds
            stored = _stored(measurements.engine, device)
        if situation not in stored:
            # The row is damaged.
            measurements.add_once(row())
        # All machines of one kind use the reference time of their database.
        return stored.get(situation, milliseconds)

    def __delitem__(self, situation: str) -> None:
        raise TypeError("a reference time is not deleted: measurements were corrected with it")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._machine, **self._known})

    def __len__(self) -> int:
        return len({**self._machine, **self._known})


def _stored(engine: Engine, device: str) -> dict[str, float]:
    """Load the reference times of a device; damaged rows are skipped and replaced when needed."""
    query = select(ReferenceTimeRow.situation, ReferenceTimeRow.milliseconds)
    with Session(engine) as session:
        return {
            row.situation: row.milliseconds
            for row in session.execute(query.where(ReferenceTimeRow.device == device))
            if not describe_damage(ReferenceTimeRow.__table__, row._mapping)
        }


class MachineReferenceTimes(MutableMapping[str, float]):
    """The reference times of this machine in the user's cache, by situation.

    Args:
        device: Fingerprint of this device.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def __getitem__(self, situation: str) -> float:
        return _read().get(self._device, {})[situation]

    def __setitem__(self, situation: str, milliseconds: float) -> None:
        with _changing() as content:
            content.setdefault(self._device, {})[situation] = milliseconds

    def __delitem__(self, situation: str) -> None:
        raise TypeError("a reference time is not deleted: measurements were corrected with it")

    def reset(self) -> dict[str, float]:
        """Delete all reference times from the cache, but not from databases.

        Returns:
            The deleted reference times in milliseconds, by situation.
        """
        with _changing() as content:
            return content.pop(self._device, {})

    def __iter__(self) -> Iterator[str]:
        return iter(_read().get(self._device, {}))

    def __len__(self) -> int:
        return len(_read().get(self._device, {}))


@contextmanager
def _changing() -> Iterator[Content]:
    """Read the file and write it at the end of the block, while other processes wait."""
    file = _file()
    try:
        files.make_folder(file.parent)
        with files.locked_folder(file.parent):
            content = _read()
            yield content
            files.write(file, json.dumps(content, indent=2), replace=True)
    except OSError as error:
        raise WorkFailed(f"{file} cannot be written: {error}") from error


def _read() -> Content:
    file = _file()
    try:
        with open_regular(file) as opened:
            return _CONTENT.validate_json(opened.read(MAX_BYTES))
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise WorkFailed(
            f"{file} is damaged (delete it; dsx measures its content again): {problem}"
        ) from error
    except OSError as error:
        raise WorkFailed(f"{file} cannot be read: {error}") from error


def _file() -> Path:
    return user_cache_path("dsx") / FILE
