"""The record of one search: what it measured, and when."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dsx import files
from dsx.errors import WorkFailed

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A design of a search.

    Args:
        id: Design id.
        spec: Dials of each slot.
        feasible: Whether the design meets all constraints.
        values: Values of the metrics, as the search measured them.
        test: Accuracy on the test split; None if the space trains nothing.
        cpu: CPU seconds of the search until all values of the design were known.
        wall: Seconds of the search until then.
    """

    id: str
    spec: Mapping[str, Mapping[str, Any]]
    feasible: bool
    values: Mapping[str, float]
    test: float | None
    cpu: float
    wall: float


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of one search.

    Args:
        space: Name of the search space.
        contender: Name of the contender.
        seed: Random seed of the sampler.
        found: Designs in the order in which they were completed, the baseline first.
        cpu: CPU seconds of the whole search.
        wall: Seconds of the whole search.
        stages: CPU seconds of each stage.
        repeated: Number of trials whose design was sampled before.
        facts: Device, versions and code on which the record depends.
    """

    space: str
    contender: str
    seed: int
    found: Sequence[Found]
    cpu: float
    wall: float
    stages: Mapping[str, float] = field(default_factory=dict)
    repeated: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Write the record as JSON.

        Args:
            file: Path of the file, which is replaced.
        """
        files.make_folder(file.parent)
        files.write(file, json.dumps(asdict(self), indent=1), replace=True)

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """Read a record.

        Args:
            file: Path of the file.

        Returns:
            The record; None if there is no file.

        Raises:
            WorkFailed: If the file cannot be read.
        """
        return _read(file, _record)


def _record(content: dict[str, Any]) -> Record:
    return Record(found=[Found(**each) for each in content.pop("found")], **content)


def _read(file: Path, convert: Callable[[dict[str, Any]], Read]) -> Read | None:
    try:
        return convert(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorkFailed(f"{file} cannot be read (delete it): {error}") from error


def write_numbers(file: Path, numbers: Mapping[str, float]) -> None:
    """Write numbers by name as JSON.

    Args:
        file: Path of the file, which is replaced.
        numbers: The numbers.
    """
    files.make_folder(file.parent)
    files.write(file, json.dumps(dict(numbers), indent=1), replace=True)


def read_numbers(file: Path) -> Mapping[str, float] | None:
    """Read numbers by name.

    Args:
        file: Path of the file.

    Returns:
        The numbers; None if there is no file.

    Raises:
        WorkFailed: If the file cannot be read.
    """
    return _read(file, lambda content: {name: float(each) for name, each in content.items()})
