"""End of a command that shows the front of a study."""

from typing import TYPE_CHECKING

import typer

from dsx.cli._options import Format

if TYPE_CHECKING:
    from dsx.analysis import Front


def end(front: "Front", chosen: Format) -> None:
    """Print notes that the results do not contain, and set the exit code.

    Args:
        front: Front that was printed.
        chosen: Format in which it was printed.

    Raises:
        typer.Exit: If the front is empty, or all candidates failed.
    """
    from dsx.report.front import print_message
    from dsx.report.text import outcome_notes

    if chosen == Format.CSV or front.outcomes.all_failed:
        for note in outcome_notes(front.outcomes):
            print_message(note)
    if not front.on_front:
        print_message(f"{front.empty_reason}.")
    if not front.on_front or front.outcomes.all_failed:
        raise typer.Exit(1)
