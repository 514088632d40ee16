"""Archive of a study: a folder of small, human-readable files for version control."""

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dsx.analysis import Entry, Front, Measurement, to_json
from dsx.errors import DsxError, WorkFailed, unwritable_in_one_line
from dsx.report.front.findings import findings
from dsx.report.front.rows import as_csv, document
from dsx.report.front.summary import tally
from dsx.report.front.table import FrontTable
from dsx.report.plots import svg
from dsx.report.studies import files as archive
from dsx.report.text.escape import cell, code, fenced, markdown, printable_front
from dsx.store.database import open_database
from dsx.store.measurements import load_measurements
from dsx.store.studies import find_study, load_front

WIDTH = 100
NAMES = "space.yaml", "measurements.csv", "front.csv", "README.md", "front.svg"
"""Names of the files next to study.json."""
COLUMNS = (
    "trial", "design", "subject", "feasible", "device", "metric", "seed", "value", "low", "high",
    "unit", "samples", "measured_at", "provenance",
)  # fmt: skip
"""The columns of measurements.csv."""


def check_folder(folder: Path) -> None:
    """Check that a study can be archived in a folder, before time is spent on it.

    Args:
        folder: The folder, which may be missing.

    Raises:
        DsxError: If the folder cannot be written, or contains a file of the same name that dsx did
            not write or that was changed since.
    """
    with _one_line(folder):
        archive.check(folder, NAMES)


def save_study(storage: str, study: str, folder: Path, mix_devices: bool = False) -> list[Path]:
    """Archive a study; files of an earlier archive are replaced, other files are kept.

    Args:
        storage: URL of the database.
        study: Name of the study.
        folder: Folder of the archive; created if it is missing.
        mix_devices: Whether to include designs that were measured on other devices.

    Returns:
        The files: space.yaml, measurements.csv (all measurements), front.csv (the front),
        README.md, front.svg, study.json (all designs and the hashes of these files).

    Raises:
        DsxError: If the folder cannot be written, or contains a file of the same name that dsx did
            not write or that was changed since.
    """
    check_folder(folder)
    engine = open_database(storage, create=False)
    row, front = find_study(engine, study), load_front(engine, study, mix_devices)
    measurements = load_measurements(engine, row)
    contents = {
        "space.yaml": row.space_text.encode(),
        "measurements.csv": measurements_csv(front, measurements).encode(),
        "front.csv": front_csv(front).encode(),
        "README.md": readme(front).encode(),
        "front.svg": svg(front),
    }
    with _one_line(folder):
        archive.write(folder, contents, document(front))
    return [folder / name for name in (*contents, archive.RECORD)]


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    with unwritable_in_one_line("archive folder", folder):
        try:
            yield
        except WorkFailed:
            # This concerns another process, not the folder.
            raise
        except DsxError as error:
            raise DsxError(f"archive folder: {error}") from error


def measurements_csv(front: Front, measurements: Iterable[Measurement]) -> str:
    """Write the measurements of all completed designs as CSV.

    Args:
        front: Front of the study.
        measurements: Measurements of any device and training seed.

    Returns:
        A row for each measurement on the device from which the values of its design are.
    """
    trials = {entry.id: entry for entry in front.entries}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in measurements:
        entry = trials.get(number.design)
        if entry is not None and entry.device == number.device:
            unit = front.units.get(number.metric, "")
            writer.writerow(_row(entry, number, unit))
    return out.getvalue()


def _row(entry: Entry, number: Measurement, unit: str) -> list[object]:
    """Return the fields of a measurement, in the order of `COLUMNS`."""
    return [
        entry.trial,
        cell(number.design),
        cell(number.subject),
        json.dumps(entry.feasible),
        cell(number.device),
        cell(number.metric),
        number.seed,
        number.value,
        number.low,
        number.high,
        cell(unit),
        number.sample_count,
        f"{number.measured_at:%Y-%m-%dT%H:%M:%SZ}",
        cell(json.dumps(to_json(number.provenance), sort_keys=True)),
    ]


def front_csv(front: Front) -> str:
    """Write the designs of the front as CSV.

    Args:
        front: Front of the study.

    Returns:
        The rows of `as_csv` for designs of the front.
    """
    # Names may contain commas, but no line breaks.
    lines = as_csv(front).splitlines(keepends=True)
    rows = zip(lines[1:], csv.DictReader(lines), strict=True)
    return lines[0] + "".join(line for line, row in rows if row["on_front"] == "true")


def readme(front: Front) -> str:
    """Describe a study on one page of Markdown.

    Args:
        front: Front of the study.

    Returns:
        Machine and versions, findings and the front.
    """
    front = printable_front(front)
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False, emoji=False, markup=False)
    console.print(FrontTable(front=front))
    table = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    conditions = "\n".join(
        f"- {markdown(f'{name}: {value}')}" for name, value in front.conditions.items()
    )
    found = findings(front)
    paragraph = f"{textwrap.fill(markdown(found), WIDTH)}\n\n" if found else ""
    return (
        f"# Study {markdown(front.study)}\n\n"
        f"Space {code(front.space)}: {tally(front)}.\n\n"
        f"{conditions}\n\n"
        "![The front](front.svg)\n\n"
        f"{paragraph}"
        f"{fenced(table)}\n\n"
        "`space.yaml` is the search space; `measurements.csv` contains all measurements with "
        "intervals and provenance, `study.json` all designs, and `front.csv` the front.\n"
    )
