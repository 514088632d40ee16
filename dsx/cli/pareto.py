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
    x: Annotated[str | None, typer.Option(help="Metric along the plot.")] = None,
    y: Annotated[str | None, typer.Option(help="Metric up the plot.")] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show the trade-offs of a study: the front as a table, a plot, and which designs to pick."""
    from dsx.report.plot import plot as draw
    from dsx.report.result import print_front, print_message
    from dsx.study.read import front

    found = front(study, storage=storage)
    if plot is not None:
        draw(found, plot, x=x, y=y)
    print_front(found, chosen_format(format, json), plotted=True, x=x, y=y)
    if plot is not None:
        print_message(f"Wrote {plot}")
    if not found.on_front:
        print_message("No design meets all constraints yet.")
        raise typer.Exit(1)
