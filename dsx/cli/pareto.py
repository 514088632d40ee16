"""dsx pareto: the front of a study."""

from pathlib import Path
from typing import Annotated

import typer

from dsx.cli._options import (
    DEFAULT_STORAGE,
    Format,
    FormatOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    chosen_format,
)


def pareto(
    study: StudyArgument = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also write a picture: front.html, .png or .svg.", metavar="FILE"),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Also write the study as a folder worth keeping.", metavar="FOLDER"),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Metric along the plot.")] = None,
    y: Annotated[str | None, typer.Option(help="Metric up the plot.")] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the trade-offs of a study: the front as a table, a plot, and which designs to pick."""
    from dsx.report.plot import plot as draw
    from dsx.report.result import print_front, print_message
    from dsx.report.view import axes
    from dsx.study.read import front

    found = front(study, storage=storage)
    # Before anything is written or shown.
    axes(found, x, y)
    written = [plot] if plot is not None else []
    if plot is not None:
        draw(found, plot, x=x, y=y)
    if save is not None:
        from dsx.report.record import save_study

        written += save_study(storage, found.study, save)
    print_front(found, chosen_format(format, json), plotted=True, x=x, y=y)
    if written:
        print_message(f"Wrote {', '.join(str(file) for file in written)}")
    if not found.on_front:
        print_message("No design meets all constraints yet.")
        raise typer.Exit(1)
