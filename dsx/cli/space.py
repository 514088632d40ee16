"""dsx space: what a search space holds, before any trial."""

from typing import Annotated

import typer

from dsx.cli._options import Format, FormatOption, JsonOption, chosen_format


def space(
    space: Annotated[
        str, typer.Argument(help="A shipped space, or the path of a space file.", metavar="SPACE")
    ] = "digits",
    format: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Show a space: slots, choices, size, cost range, and whether its constraints can be met."""
    from dsx.report.space import print_space
    from dsx.space import load_space
    from dsx.study.plan import find_metrics, unmet

    loaded = load_space(space)
    find_metrics(loaded)
    problems = unmet(loaded)
    print_space(loaded, problems, chosen_format(format, json))
    if problems:
        raise typer.Exit(1)
