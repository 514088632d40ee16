"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


StudyArgument = Annotated[
    str | None, typer.Argument(help="Name of the study; left out: the newest of the database.")
]
StorageOption = Annotated[
    str,
    typer.Option(
        help="Database, any SQLAlchemy URL.", envvar="DSX_STORAGE", metavar="URL", show_default=True
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", envvar="DSX_FORMAT", help="How results are printed.")
]
MixOption = Annotated[
    bool, typer.Option("--mix-devices", help="Join the numbers of all devices, which may mislead.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --format json.")]

# Kept here as text: importing it would import SQLAlchemy, and --help shall be fast.
DEFAULT_STORAGE = "sqlite:///studies/dsx.db"


def chosen_format(given: Format, as_json: bool) -> Format:
    """Let --json stand for --format json."""
    return Format.JSON if as_json else given
