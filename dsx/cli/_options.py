"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dsx.errors import DsxError, quoted


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
StorageTimeoutOption = Annotated[
    str,
    typer.Option(
        help="How long a database server that goes away is waited for: 90s, 10m, 2h.",
        envvar="DSX_STORAGE_TIMEOUT",
        metavar="TIME",
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
DEFAULT_STORAGE_TIMEOUT = "10m"
DEFAULT_STORAGE = "sqlite:///studies/dsx.db"


def path_option(text: str, metavar: str) -> Any:
    """Declare an option that names a file or folder to be written.

    Args:
        text: Help.
        metavar: FILE or FOLDER.

    Returns:
        The option.
    """
    return typer.Option(help=text, metavar=metavar, callback=_usable)


def _usable(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse a path to be written that no file system could have, such as one that is too long."""
    try:
        if path is not None:
            path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        # The command that writes the file reports a missing folder.
        return path
    except OSError as error:
        raise DsxError(f"{option.opts[0]}: {quoted(path)}: {error.strerror}") from error
    return path


def chosen_format(given: Format, as_json: bool) -> Format:
    """Let --json stand for --format json."""
    return Format.JSON if as_json else given
