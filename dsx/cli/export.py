"""dsx export: a design as files that need only torch."""

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
    permitted_space,
)


def export(
    study: StudyArgument = None,
    pick: Annotated[str, typer.Option(help=PICK_HELP)] = "knee",
    out: Annotated[Path, path_option("Folder to write to.", "FOLDER")] = Path("chosen"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export in the folder.")
    ] = False,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Write a design of a study as model.py and weights, verified in a fresh process."""
    from dsx.export import export as write_export
    from dsx.report.design import print_bundle
    from dsx.report.text import working
    from dsx.search.design import load_selected
    from dsx.store.studies import Study

    # Output of the network's own code is not a result.
    with working("exporting and checking"), redirect_stdout(sys.stderr):
        own = permitted_space(space, trust)
        choice = load_selected(Study.open(storage, study), pick, own, trust)
        bundle = write_export(choice, out, force=force)
    print_bundle(bundle.folder, bundle.manifest, chosen_format(format, json))
