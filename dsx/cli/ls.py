"""dsx ls: the studies of a database, and their failed trials."""

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


def ls(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of the study.  [default: all studies of the database]"),
    ] = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="List the failed trials, with reasons and tracebacks."),
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """List the studies of a database, or their failed trials."""
    from dsx.report.studies import print_failed, print_studies
    from dsx.store.database import display_url, open_database, parse_url
    from dsx.store.studies import list_studies, load_failed

    engine = open_database(storage, create=False)
    about = {"storage": display_url(parse_url(storage))}
    chosen = chosen_format(format, json)
    if failed:
        print_failed(load_failed(engine, study), chosen, about)
    else:
        print_studies(list_studies(engine, study), chosen, about)
