"""References: what the sentinel takes on a device in calm moments, kept for all later numbers.

A database keeps its own, so that its numbers stay comparable. One that has none yet takes that of
this machine, which lies in the user's cache, so that numbers of several databases compare too.
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
from dsx.store.database.checked import damage
from dsx.store.database.schema import SentinelRow
from dsx.store.measurements.measurements import MeasurementStore

FILE = "sentinel.json"
LARGEST = 2**20
"""Bytes of the file that are read at most; it has about 100 for each device and situation."""
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
            self._learn(situation, self._machine[situation])
        return self._known[situation]

    def __setitem__(self, situation: str, milliseconds: float) -> None:
        self._learn(situation, milliseconds)
        self._machine[situation] = milliseconds

    def _learn(self, situation: str, milliseconds: float) -> None:
        if not self._measurements.read_only:
            milliseconds = self._agreed(situation, milliseconds)
        self._known[situation] = milliseconds

    def _agreed(self, situation: str, milliseconds: float) -> float:
        """Store a reference time unless another process was first; return the stored one."""
        measurements, device = self._measurements, self._measurements.device

        def row() -> SentinelRow:
            return SentinelRow(device=device, situation=situation, milliseconds=milliseconds)

        stored = _stored(measurements.engine, device)
        if situation not in stored:
            if measurements.add_new(row()):
                return milliseconds
            stored = _stored(measurements.engine, device)
        if situation not in stored:
            # The row is damaged.
            measurements.add_once(row())
        # Numbers of one database compare, also of several machines of the same kind.
        return stored.get(situation, milliseconds)

    def __delitem__(self, situation: str) -> None:
        raise TypeError("numbers were corrected with this reference; it is not forgotten")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._machine, **self._known})

    def __len__(self) -> int:
        return len({**self._machine, **self._known})


def _stored(engine: Engine, device: str) -> dict[str, float]:
    """Read the references of a device; damaged ones are left out, and written over when needed."""
    query = select(SentinelRow.situation, SentinelRow.milliseconds)
    with Session(engine) as session:
        return {
            row.situation: row.milliseconds
            for row in session.execute(query.where(SentinelRow.device == device))
            if not damage(SentinelRow.__table__, row._mapping)
        }


class MachineReferenceTimes(MutableMapping[str, float]):
    """The references of this machine, in the user's cache.

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
        raise TypeError("numbers were corrected with this reference; it is not forgotten")

    def forget(self) -> dict[str, float]:
        """Forget them all, and give them; databases keep theirs."""
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
            return _CONTENT.validate_json(opened.read(LARGEST))
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise WorkFailed(f"{file} is damaged; delete it, it is measured anew: {problem}") from error
    except OSError as error:
        raise WorkFailed(f"{file} cannot be read: {error}") from error


def _file() -> Path:
    return user_cache_path("dsx") / FILE
