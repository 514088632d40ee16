"""Archives of studies: the writer of a folder of small text files for version control."""

import base64
import csv
import io
import json
import textwrap
from collections.abc import Iterator
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
from dsx.store.studies import StudyResults

WIDTH = 100
NAMES = "space.yaml", "measurements.csv", "front.csv", "README.md", "front.svg"
"""Names of the files next to study.json."""
COLUMNS = (
    "number", "trial", "design", "subject", "feasible", "device", "metric", "protocol", "seed",
    "learned", "value", "low", "high", "unit", "samples", "examples", "measured_at", "provenance",
)  # fmt: skip
"""The columns of measurements.csv; `examples` is encoded in base64."""
TIME = "%Y-%m-%dT%H:%M:%SZ"
"""Format of `measured_at`."""


def check_folder(folder: Path) -> None:
    """Check that a study can be archived in a folder, before anything is computed for it.

    Args:
        folder: The folder, which may be missing.

    Raises:
        DsxError: If the folder cannot be written, or contains a file of the same name that dsx did
            not write or that was changed since.
    """
    with _one_line(folder):
        archive.check(folder, NAMES)


def write_archive(results: StudyResults, folder: Path) -> list[Path]:
    """Write the results of a study into a folder; files of an earlier archive are replaced.

    Args:
        results: Results of the study.
        folder: The folder; created if it is missing, and its other files are kept.

    Returns:
        The files: space.yaml, measurements.csv (every measurement), front.csv (the front),
        README.md, front.svg, study.json (every design, and the hashes of these files).

    Raises:
        DsxError: If the folder cannot be written, or contains a file of the same name that dsx did
            not write or that was changed since.
    """
    check_folder(folder)
    front = results.front
    contents = {
        "space.yaml": results.space_text.encode(),
        "measurements.csv": measurements_csv(results).encode(),
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


def measurements_csv(results: StudyResults) -> str:
    """Write all measurements of a study as CSV.

    Args:
        results: Results of the study, with measurements of any device and training seed.

    Returns:
        The content of a CSV file.
    """
    entries = {entry.id: entry for entry in results.front.entries}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in results.measurements:
        unit = results.front.units.get(each.metric, "")
        writer.writerow(_row(entries[each.design], each, unit))
    return out.getvalue()


def _row(entry: Entry, measurement: Measurement, unit: str) -> list[object]:
    """Return the fields of a measurement, in the order of `COLUMNS`."""
    examples = measurement.examples
    return [
        measurement.number,
        entry.trial,
        cell(measurement.design),
        cell(measurement.subject),
        json.dumps(entry.feasible),
        cell(measurement.device),
        cell(measurement.metric),
        cell(measurement.protocol),
        measurement.seed,
        json.dumps(measurement.learned),
        measurement.value,
        measurement.low,
        measurement.high,
        cell(unit),
        measurement.sample_count,
        "" if examples is None else base64.b64encode(examples.content).decode(),
        f"{measurement.measured_at:{TIME}}",
        cell(json.dumps(to_json(measurement.provenance), sort_keys=True)),
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
