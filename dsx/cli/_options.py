"""Options shared by several commands."""

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
    """The formats in which results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


StudyArgument = Annotated[
    str | None,
    typer.Argument(help="Name of the study.  [default: the newest study of the database]"),
]
StudyOrFolderArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name of a study, or path of an archived study (with a slash, such as ./digits).  "
        "[default: the newest study of the database]",
        metavar="STUDY|FOLDER",
    ),
]
PICK_HELP = (
    "Design: knee, baseline, an objective (the best design in it), a design id or at least its "
    "first 4 characters, or '#' and a trial number."
)
StorageOption = Annotated[
    str,
    typer.Option(
        help="URL of the database: sqlite:///FILE or postgresql://USER@HOST/NAME.",
        envvar="DSX_STORAGE",
        metavar="URL",
        show_default=True,
    ),
]
StorageTimeoutOption = Annotated[
    str,
    typer.Option(
        help="Time to wait for a database server that cannot be reached: 90s, 10m, 2h.",
        envvar="DSX_STORAGE_TIMEOUT",
        metavar="TIME",
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", envvar="DSX_FORMAT", help="Format of the results on stdout.")
]
MixOption = Annotated[
    bool,
    typer.Option(
        "--mix-devices",
        help="Include measurements from all devices (not directly comparable).",
    ),
]
AdoptOption = Annotated[
    bool,
    typer.Option(
        "--adopt", help="Add the tables of dsx to a database of Optuna or of another program."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Same as --format json.")]

OwnSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="Your own space file of the study; required if it imports code outside dsx.",
        metavar="FILE",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Run any code outside dsx that the stored space of the study imports."
    ),
]

DEFAULT_STORAGE = "sqlite:///studies/dsx.db"
# A copy, because importing the constant would import SQLAlchemy, and --help must be fast.
DEFAULT_STORAGE_TIMEOUT = "10m"


def path_option(text: str, metavar: str) -> Any:
    """Declare an option that names a file or folder to be written.

    Args:
        text: Help text.
        metavar: Placeholder in the help: FILE or FOLDER.

    Returns:
        The option.
    """
    return typer.Option(help=text, metavar=metavar, callback=_usable)


def _usable(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Reject an output path that no file system accepts, such as one that is too long."""
    if path is not None:
        # The command that writes the file reports a missing folder.
        missing = suppress(FileNotFoundError, NotADirectoryError)
        with unwritable_in_one_line(option.opts[0], path), missing:
            path.lstat()
    return path


def permitted_space(space: str | None, trust: bool) -> "SearchSpace | None":
    """Permit the imports of the user's own space file, and load it.

    Args:
        space: Name or path of the space; None for none.
        trust: Whether to permit all imports.

    Returns:
        The space, if one is given.

    Raises:
        SpaceError: If the space is invalid.
    """
    from dsx.space import load_space
    from dsx.trust import trust_all_paths

    if trust:
        trust_all_paths()
    # Output of the network's own code is not a result.
    with redirect_stdout(sys.stderr):
        return None if space is None else load_space(space)


def chosen_format(given: Format, as_json: bool) -> Format:
    """Return the format that --format and --json select.

    Args:
        given: Value of --format.
        as_json: Whether --json is given.
    """
    return Format.JSON if as_json else given
