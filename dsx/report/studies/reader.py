"""Archives of studies: the reader of the folder that `archive` writes."""

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dsx.analysis import (
    Estimate,
    ExampleResults,
    Front,
    Measurement,
    Provenance,
    examples_of,
    from_json,
    row_number,
)
from dsx.errors import DsxError
from dsx.files import read_sealed, sha256
from dsx.report.front.rows import SCHEMA_VERSION
from dsx.report.studies.archive import TIME
from dsx.report.studies.files import RECORD
from dsx.store.studies import (
    ProxyReport,
    Study,
    StudyResults,
    load_front,
    load_proxies,
    load_results,
    proxies_of,
)

_FRONT = TypeAdapter(Front)


def is_folder(study: str) -> bool:
    """Check whether an argument is the path of an archived study rather than a name.

    Args:
        study: Name of a study, or path of a folder with at least one slash.
    """
    return "/" in study


def read_results(study: str | None, storage: str, mix_devices: bool = False) -> StudyResults:
    """Read the results of a study from a database, or from the folder of an archived study.

    Args:
        study: Name of the study, or path of its folder; None for the newest study of the database.
        storage: URL of the database.
        mix_devices: Whether to include designs that were measured on other devices only; an archive
            contains the designs with which it was written.

    Returns:
        The results.

    Raises:
        DsxError: If there is no such study, or it cannot be read.
    """
    if study is not None and is_folder(study):
        return load_archive(Path(study))
    return load_results(Study.open(storage, study), mix_devices)


def read_pareto(
    study: str | None, storage: str, mix_devices: bool = False, proxies: bool = False
) -> tuple[Front, ProxyReport | None]:
    """Read the front of a study, and compare the rankings of its designs by several metrics.

    Args:
        study: Name of the study, or path of its folder, which contains only completed designs;
            None for the newest study of the database.
        storage: URL of the database.
        mix_devices: Whether the front includes designs that were measured on other devices only; an
            archive contains the designs with which it was written.
        proxies: Whether to compare rankings.

    Returns:
        The front, and the comparison of rankings; None if it is not requested.

    Raises:
        DsxError: If there is no such study, it cannot be read, or too few of its designs were
            measured for a comparison.
    """
    if study is not None and is_folder(study):
        results = load_archive(Path(study))
        return results.front, proxies_of(results) if proxies else None
    opened = Study.open(storage, study)
    return load_front(opened, mix_devices), load_proxies(opened) if proxies else None


def load_archive(folder: Path) -> StudyResults:
    """Load the results of an archived study.

    Args:
        folder: Folder that `dsx archive` wrote.

    Returns:
        The results, as they were read from the database when the study was archived.

    Raises:
        DsxError: If the folder contains no archived study, or one that was changed or written by
            another version of dsx.
    """
    try:
        document = _record(folder)
        texts = {
            name: _content(folder, document, name) for name in ("measurements.csv", "space.yaml")
        }
    except OSError as error:
        raise DsxError(f"archived study '{folder}' cannot be read: {error}") from error
    try:
        front = _FRONT.validate_python(_front(document))
        measurements = tuple(
            map(_measurement, csv.DictReader(io.StringIO(texts["measurements.csv"])))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DsxError(f"archived study '{folder}' is damaged: {error}") from error
    front = _with_examples(front, measurements)
    return StudyResults(front=front, measurements=measurements, space_text=texts["space.yaml"])


def _record(folder: Path) -> Mapping[str, Any]:
    file = folder / RECORD
    if not file.exists():
        raise DsxError(
            f"'{folder}' is not an archived study: it has no {RECORD} (`dsx archive` writes one)"
        )
    document = read_sealed(file)
    if document is None:
        raise DsxError(f"'{file}' was changed since dsx wrote it, or dsx did not write it")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DsxError(
            f"'{file}' was written by another version of dsx: its schema_version is {version} "
            f"(this version reads {SCHEMA_VERSION})"
        )
    return document


def _content(folder: Path, document: Mapping[str, Any], name: str) -> str:
    """Read a file of the archive, which must have the recorded hash."""
    content = (folder / name).read_bytes()
    if sha256(content) != document["files"].get(name):
        raise DsxError(f"'{folder / name}' was changed since dsx wrote it")
    return content.decode()


def _front(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a front from the document that `report.front.rows` writes."""
    same = "study", "space", "objectives", "units", "reference", "conditions", "devices"
    return {
        **{name: document[name] for name in same},
        "kinds": document["metrics"],
        "entries": [_entry(design) for design in document["designs"]],
        "baseline": document["baseline"] or "",
        "outcomes": _outcomes(document),
    }


def _entry(design: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {
        name: {**number, "rests_on": number["measurements"]}
        for name, number in design["metrics"].items()
    }
    return {**design, "metrics": metrics}


def _outcomes(document: Mapping[str, Any]) -> dict[str, Any]:
    candidates = document["candidates"]
    return {
        **{
            name: candidates[name]
            for name in ("complete", "rejected", "failed", "violating", "left_out", "checked")
        },
        "counts": document["trials"],
        "failures": [
            {"text": each["reason"], "trials": each["trials"]} for each in document["failures"]
        ],
        "violations": [
            {"text": each["constraint"], "trials": each["trials"]}
            for each in document["violations"]
        ],
        "baseline_failure": document["baseline_failure"] or "",
        "damaged": document["damaged_trials"],
    }


def _measurement(row: Mapping[str, str]) -> Measurement:
    """Return the measurement of a line of measurements.csv."""
    return Measurement(
        value=float(row["value"]),
        low=float(row["low"]),
        high=float(row["high"]),
        provenance=from_json(Provenance, json.loads(row["provenance"])),
        number=int(row["number"]),
        design=row["design"],
        subject=row["subject"],
        metric=row["metric"],
        protocol=row["protocol"],
        device=row["device"],
        seed=int(row["seed"]) if row["seed"] else None,
        learned=row["learned"] == "true",
        measured_at=datetime.strptime(row["measured_at"], TIME),
        sample_count=int(row["samples"]),
        # Earlier versions of dsx did not store them.
        examples=ExampleResults(base64.b64decode(text)) if (text := row.get("examples")) else None,
    )


def _with_examples(front: Front, measurements: Iterable[Measurement]) -> Front:
    """Return the front with the results per example, which are not in study.json."""
    taken = {row_number(each): each for each in measurements}

    def completed(value: Estimate) -> Estimate:
        return replace(value, examples=examples_of(taken[n] for n in value.rests_on if n in taken))

    entries = [
        replace(entry, metrics={name: completed(each) for name, each in entry.metrics.items()})
        for entry in front.entries
    ]
    return replace(front, entries=tuple(entries))
