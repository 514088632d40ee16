"""Output of a front in a format, and messages on stderr."""

import sys
from collections.abc import Mapping

from dsx.analysis import Front
from dsx.errors import printable
from dsx.report.front.rows import as_csv, as_json
from dsx.report.front.table import FrontTable, Hints
from dsx.report.front.terminal import TerminalPlot
from dsx.report.text.console import console, message_console
from dsx.report.text.escape import printable_front
from dsx.secret import without_url_password

_NONE: Mapping[str, object] = {}


def print_front(
    front: Front,
    format: str,
    *,
    complete: bool = False,
    hints: Hints | None = None,
    plotted: bool = False,
    x: str | None = None,
    y: str | None = None,
    sections: Mapping[str, object] = _NONE,
) -> None:
    """Print the front of a study to stdout.

    Args:
        front: The front.
        format: "table", "json" or "csv".
        complete: Whether a table lists the whole front and all metrics.
        hints: Commands that show more, which a table names.
        plotted: Whether a plot follows a table.
        x: Metric on the horizontal axis; by default the first minimised objective.
        y: Metric on the vertical axis.
        sections: Further keys of the JSON document.
    """
    if format != "table":
        sys.stdout.write(as_json(front, sections) + "\n" if format == "json" else as_csv(front))
        return
    out = console()
    front = printable_front(front)
    out.print(FrontTable(front=front, complete=complete, hints=hints))
    if front.on_front and plotted:
        out.print(TerminalPlot(front, x=x and printable(x), y=y and printable(y)))


def print_message(*lines: str) -> None:
    """Print a message to stderr.

    Args:
        lines: Lines of the message, which may contain names from data.
    """
    message_console().print(*map(without_url_password, lines), sep="\n", soft_wrap=True)
