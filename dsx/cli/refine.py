"""dsx refine: repeat the measurements on which the front of a study depends."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from dsx.cli._duration import seconds
from dsx.cli._ending import end
from dsx.cli._next import NextCommands
from dsx.cli._options import (
    DEFAULT_STORAGE,
    DEFAULT_STORAGE_TIMEOUT,
    Format,
    FormatOption,
    JsonOption,
    OwnSpaceOption,
    StorageOption,
    StorageTimeoutOption,
    StudyArgument,
    TrustOption,
    chosen_format,
    permitted_space,
)

ForOption = Annotated[
    str,
    typer.Option(
        "--for", help="Time after which no new measurement starts: 90s, 5m, 2h.", metavar="TIME"
    ),
]


def refine(
    study: StudyArgument = None,
    time: ForOption = "5m",
    space: OwnSpaceOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    storage_timeout: StorageTimeoutOption = DEFAULT_STORAGE_TIMEOUT,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Repeat the measurements on which front membership depends, and show the new front."""
    limit = seconds("--for", time)
    patience = seconds("--storage-timeout", storage_timeout)
    from dsx.report.front import outlook_notes, print_front, print_message, refinement_notes
    from dsx.report.text import working
    from dsx.search import refine_study

    with working("reading the study") as on_status, redirect_stdout(sys.stderr):
        refined = refine_study(
            study,
            limit,
            storage=storage,
            storage_timeout=patience,
            on_status=on_status,
            tell=lambda outlook: print_message(*outlook_notes(outlook)),
            space=permitted_space(space, trust),
            trust=trust,
        )
    print_message(*refinement_notes(refined))
    chosen = chosen_format(format, json)
    commands = NextCommands(refined.front.study, storage)
    print_front(refined.front, chosen, hints=commands.hints(refined.front), plotted=True)
    end(refined.front, chosen)
