"""Options that several commands share."""

import sys
from contextlib import redirect_stdout, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsx.errors import unwritable_in_one_line

if TYPE_CHECKING:
    from dsx.space import SearchSpace


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


StudyArgument = Annotated[
    str | None, typer.Argument(help="Name of the study; left out: the newest of the database.")
]
StudyOrFolderArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name of the study, or path of an archived study, with a slash: studies/digits, "
        "./digits.  [default: the newest study of the database]",
        metavar="[STUDY|FOLDER]",
    ),
]
PICK_HELP = (
    "Design: knee, baseline, an objective (the best design in it), a design id or at least its "
    "first 4 characters, or '#' and a trial number."
)
StorageOption = Annotated[
    str,
    typer.Option(
        help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME.",
        envvar="DSX_STORAGE",
        metavar="URL",
        show_default=True,
    ),
]
StorageTimeoutOption = Annotated[
    str,
    typer.Option(
        help="How long to wait for a database server that is not reachable: 90s, 10m, 2h.",
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
AdoptOption = Annotated[
    bool,
    typer.Option("--adopt", help="Add dsx's tables to a database of Optuna or of another program."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --format json.")]

OwnSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="Your space file of the study; needed where it names code outside dsx.",
        metavar="FILE",
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run code outside dsx that only the database names.")
]

DEFAULT_STORAGE = "sqlite:///studies/dsx.db"
# Kept here as text: importing it would import SQLAlchemy, and --help shall be fast.
DEFAULT_STORAGE_TIMEOUT = "10m"


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
    if path is not None:
        # The command that writes the file reports a missing folder.
        missing = suppress(FileNotFoundError, NotADirectoryError)
        with unwritable_in_one_line(option.opts[0], path), missing:
            path.lstat()
    return path


def vouched(space: str | None, trust: bool) -> "SearchSpace | None":
    """Permit the code that the user vouches for.

    Args:
        space: A space file whose code may run; None for none.
        trust: Whether any code may run.

    Returns:
        The space, if one was given.

    Raises:
        SpaceError: If it does not hold together.
    """
    from dsx.space import load_space
    from dsx.trust import trust_all_paths

    if trust:
        trust_all_paths()
    # What the network's own code prints is no result.
    with redirect_stdout(sys.stderr):
        return None if space is None else load_space(space)


def chosen_format(given: Format, as_json: bool) -> Format:
    """Let --json stand for --format json."""
    return Format.JSON if as_json else given
