"""dsx export: the chosen design as files that need torch only."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from dsx.cli._options import (
    DEFAULT_STORAGE,
    PICK_HELP,
    Format,
    FormatOption,
    JsonOption,
    OwnSpaceOption,
    StorageOption,
    StudyArgument,
    TrustOption,
    chosen_format,
    path_option,
    vouched,
)


def export(
    study: StudyArgument = None,
    pick: Annotated[str, typer.Option(help=PICK_HELP)] = "knee",
    out: Annotated[Path, path_option("Folder to write.", "FOLDER")] = Path("chosen"),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Write a design of a study as model.py and weights, checked in a fresh process."""
    from dsx.export import export as write_export
    from dsx.report.design import print_bundle
    from dsx.report.text import working
    from dsx.search.design import load_choice
    from dsx.store.studies import Study

    # What the network's own code prints is no result.
    with working("exporting and checking"), redirect_stdout(sys.stderr):
        own = vouched(space, trust)
        choice = load_choice(Study.open(storage, study), pick, own, trust)
        bundle = write_export(choice, out, force=force)
    print_bundle(bundle.folder, bundle.manifest, chosen_format(format, json))
