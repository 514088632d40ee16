"""Record: a study worth keeping, as a folder of small files for people and version control."""

import csv
import io
import json
import textwrap
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from dsx.errors import DsxError
from dsx.report.escape import cell, code, fenced, markdown, readable
from dsx.report.findings import findings
from dsx.report.picks import picks
from dsx.report.plot import plot
from dsx.report.rows import as_csv, as_json
from dsx.report.table import FrontTable
from dsx.report.view import tally
from dsx.study.database import open_database
from dsx.study.front import Front
from dsx.study.read import find_study, load_front
from dsx.study.readings import Taken, load_taken

WIDTH = 100


def save_study(storage: str, study: str, folder: Path, mix_devices: bool = False) -> list[Path]:
    """Write a study's folder; files of an earlier record are replaced, others stay.

    Args:
        storage: Any SQLAlchemy URL.
        study: Name of the study.
        folder: Made if it is missing.
        mix_devices: Whether designs that were measured on other devices than the study's join in.

    Returns:
        The files: space.yaml, measurements.csv (every number), study.json (every design),
        front.csv (the front), front.svg, README.md.

    Raises:
        DsxError: If the folder cannot be written.
    """
    engine = open_database(storage, create=False)
    row, front = find_study(engine, study), load_front(engine, study, mix_devices)
    taken = load_taken(engine, row)
    texts = {
        "space.yaml": row.space_text,
        "measurements.csv": measurements_csv(front, taken),
        "study.json": as_json(front) + "\n",
        "front.csv": front_csv(front),
        "README.md": readme(front),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DsxError(f"--save: '{folder}' cannot be written: {error.strerror}") from error
    plot(front, folder / "front.svg")
    return [folder / name for name in (*texts, "front.svg")]


def measurements_csv(front: Front, taken: Iterable[Taken]) -> str:
    """Write every reading of the designs that were measured to the end, a line each.

    Args:
        front: The study's front.
        taken: The readings, of any device and training seed.

    Returns:
        CSV; readings on another device than the one that the design's numbers are from stay out.
    """
    trials = {entry.id: entry for entry in front.entries}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "trial",
            "design",
            "subject",
            "feasible",
            "device",
            "metric",
            "seed",
            "value",
            "low",
            "high",
            "unit",
            "samples",
            "taken_at",
            "conditions",
        ]
    )
    for number in taken:
        entry = trials.get(number.design)
        if entry is None or entry.device != number.device:
            continue
        writer.writerow(
            [
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
                cell(front.units.get(number.metric, "")),
                number.samples,
                f"{number.taken_at:%Y-%m-%dT%H:%M:%SZ}",
                cell(json.dumps(dict(number.conditions), sort_keys=True)),
            ]
        )
    return out.getvalue()


def front_csv(front: Front) -> str:
    """Write the designs of the front only, a line each."""
    # A name may hold commas, but no line break is left in it.
    lines = as_csv(front).splitlines(keepends=True)
    rows = zip(lines[1:], csv.DictReader(lines), strict=True)
    return lines[0] + "".join(line for line, row in rows if row["on_front"] == "true")


def readme(front: Front) -> str:
    """Describe a study on one page: machine and versions, what was found, the front, the picks."""
    front = readable(front)
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False, emoji=False, markup=False)
    console.print(FrontTable(front))
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
        f"{fenced(picks(front))}\n\n"
        "`space.yaml` is the space, `measurements.csv` holds every number with its interval and "
        "conditions, `study.json` every design, `front.csv` the front.\n"
    )
