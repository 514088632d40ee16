"""Plain rows as a table, JSON or CSV."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence

from rich.table import Table

from dsx.errors import printable
from dsx.report.text.console import console
from dsx.report.text.escape import cell, json_text

SCHEMA_VERSION = 2


def print_rows(
    rows: Sequence[Mapping[str, object]], format: str, about: Mapping[str, object], name: str
) -> None:
    """Print rows to stdout.

    Args:
        rows: Rows with equal keys.
        format: "table", "json" or "csv".
        about: Further keys of a JSON document.
        name: Key of the rows in a JSON document; in a table, the noun of the message "no ...".
    """
    if format == "json":
        document = {"schema_version": SCHEMA_VERSION, **about, name: list(rows)}
        sys.stdout.write(json_text(json.dumps(document, indent=2)) + "\n")
    elif not rows:
        sys.stdout.write("" if format == "csv" else f"no {name}\n")
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        # Booleans are written as in JSON.
        writer.writerows(
            {name: json.dumps(v) if isinstance(v, bool) else cell(v) for name, v in row.items()}
            for row in rows
        )
    else:
        console().print(listing(rows))


def listing(rows: Sequence[Mapping[str, object]], right: Sequence[str] = ()) -> Table:
    """Lay out rows as a table.

    Args:
        rows: Rows with equal keys.
        right: Columns that are right-aligned in addition to those of numbers.

    Returns:
        The table.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else []:
        number = name in right or all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        cells = (f"{v:,}" if isinstance(v, int) else str(v) for v in row.values())
        table.add_row(*map(printable, cells))
    return table
