"""Print a front in the format asked for, and messages beside it."""

import sys

from dsx.errors import printable
from dsx.report.console import console, message_console
from dsx.report.escape import readable
from dsx.report.picks import picks
from dsx.report.rows import as_csv, as_json
from dsx.report.table import FrontTable
from dsx.report.terminal import TerminalPlot
from dsx.secret import without_url_password
from dsx.study.front import Front


def print_front(
    front: Front, format: str, plotted: bool = False, x: str | None = None, y: str | None = None
) -> None:
    """Print the front of a study to stdout.

    Args:
        front: The front.
        format: "table", "json" or "csv".
        plotted: Whether a table gets a plot under it.
        x: Metric along the plot; by default the first minimised objective.
        y: Metric up the plot.
    """
    if format != "table":
        sys.stdout.write(as_json(front) + "\n" if format == "json" else as_csv(front))
        return
    out = console()
    front = readable(front)
    out.print(FrontTable(front))
    if front.on_front:
        if plotted:
            out.print(TerminalPlot(front, x=x and printable(x), y=y and printable(y)))
        out.print(*picks(front).splitlines(), sep="\n")


def print_message(*lines: str) -> None:
    """Print a message to stderr.

    Args:
        lines: The lines of the message, which may hold names from data.
    """
    message_console().print(*map(without_url_password, lines), sep="\n", soft_wrap=True)
