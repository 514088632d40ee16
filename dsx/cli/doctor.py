"""dsx doctor: the capabilities of this machine, and whether it is idle."""

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
            help="Re-calibrate the reference workload on this machine, for new databases.",
        ),
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the capabilities of this machine, and whether it is idle enough for measurements."""
    from dsx.report.text import print_rows, working
    from dsx.search import examine

    with working("checking whether the machine is idle"):
        found = examine(storage, calibrate)
    rows = [{"what": what, "finding": finding} for what, finding in found.findings.items()]
    about = {
        "device": asdict(found.device),
        "kernels": asdict(found.kernels),
        "noise": {"is_stable": found.noise.is_stable, **asdict(found.noise)},
        "repeated": None if found.repeated is None else asdict(found.repeated),
    }
    print_rows(rows, chosen_format(format, json), about, "findings")
