"""dsx doctor: what this machine offers."""

from dataclasses import asdict
from typing import Annotated

import typer

from dsx.cli._options import (
    DEFAULT_STORAGE,
    Format,
    FormatOption,
    JsonOption,
    StorageOption,
    chosen_format,
)


def doctor(
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Take anew what the sentinels take on this machine, for databases to come.",
        ),
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show what this machine offers, and whether it is quiet enough to be measured on."""
    from dsx.report.text import print_rows, working
    from dsx.search import examine

    with working("checking whether the machine is idle"):
        found = examine(storage, calibrate)
    rows = [{"what": what, "finding": finding} for what, finding in found.findings.items()]
    about = {
        "device": asdict(found.device),
        "quiet": {"enough": found.quiet.is_stable, **asdict(found.quiet)},
        "repeated": None if found.repeated is None else asdict(found.repeated),
    }
    print_rows(rows, chosen_format(format, json), about, "findings")
