"""dsx show: one design of a study."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from dsx.cli._options import (
    DEFAULT_STORAGE,
    PICK_HELP,
    Format,
    FormatOption,
    JsonOption,
    MixOption,
    OwnSpaceOption,
    StorageOption,
    StudyOrFolderArgument,
    TrustOption,
    chosen_format,
    permitted_space,
)


def show(
    study: StudyOrFolderArgument = None,
    pick: Annotated[str, typer.Option(help=PICK_HELP)] = "knee",
    mix_devices: MixOption = False,
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show one design of a study: slots, provenance of its values, comparison with the baseline."""
    from dsx.report.show import ShownDesign, print_design
    from dsx.report.studies import read_results
    from dsx.report.text import working

    with working("reading the study"):
        results = read_results(study, storage, mix_devices)
        entry = results.front.pick(pick)
    # Output of the network's own code is not a result.
    with working("building the network"), redirect_stdout(sys.stderr):
        from dsx.search.design import load_slots

        slots = load_slots(results, entry, permitted_space(space, trust), trust)
    print_design(
        ShownDesign(results=results, entry=entry, slots=slots), chosen_format(format, json)
    )
