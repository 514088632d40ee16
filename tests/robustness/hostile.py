"""Study in which every name is hostile to terminals, pages, spreadsheets, Markdown or formulas."""

import json
import sqlite3
from pathlib import Path

from tests.cli.running import Ended

ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2J\x7f"
LINES = "a\nb\rc\td\u2028e\x85f"
BIDI = "\u202egnp\u2066\u200f"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>'\""
MARKDOWN = "`x` ```` | [l](http://e.example) *b* $\\frac{$ $x$ ~~s~~"
RICH = "[bold]r[/] [/nope] :smile:"
ALL = f"=cmd(){ESCAPES}{LINES}{BIDI}{MARKUP}{MARKDOWN}{RICH}"

Columns = dict[str, list[str]]
NAMES: Columns = {
    "dsx_studies": ["name", "space", "device", "baseline"],
    "dsx_trials": ["study", "design", "reason"],
    "dsx_designs": ["id", "description", "model"],
    "dsx_measurements": ["design", "subject", "device", "metric"],
    "dsx_devices": ["fingerprint"],
    "dsx_protocols": ["metric"],
}
"""Columns that commands print or use as keys."""


def poison(database: Path, keep: tuple[str, ...] = ()) -> None:
    """Prefix every name in a database with a hostile text.

    Args:
        database: The database of one study.
        keep: Columns that are left unchanged.
    """
    with sqlite3.connect(database) as connection:
        for table, columns in NAMES.items():
            for column in set(columns) - set(keep):
                connection.execute(f"UPDATE {table} SET {column} = ? || {column}", [ALL])
        for table, column in (("dsx_devices", "facts"), ("dsx_studies", "metrics")):
            rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            for row, text in rows:
                hostile = json.dumps(_hostile(json.loads(text), "metric" in keep))
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [hostile, row]
                )
        if "metric" not in keep:
            for column in ("objectives", "reference"):
                (text,) = connection.execute(f"SELECT {column} FROM dsx_studies").fetchone()
                renamed = {f"{ALL}{name}": value for name, value in json.loads(text).items()}
                connection.execute(f"UPDATE dsx_studies SET {column} = ?", [json.dumps(renamed)])


def rename(database: Path, name: str) -> None:
    """Rename the study of a database."""
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE dsx_studies SET name = ?", [name])
        connection.execute("UPDATE dsx_trials SET study = ?", [name])


def _hostile(facts: dict[str, object], keep_names: bool) -> dict[str, object]:
    """Make the facts of a device, or the units and names of metrics, hostile."""
    spoilt: dict[str, object] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            unit = {"unit": f"{ALL}{value['unit']}"}
            spoilt[name if keep_names else f"{ALL}{name}"] = value | unit
        else:
            spoilt[name] = f"{ALL}{value}" if isinstance(value, str) else value
    return spoilt


def harmless(text: str) -> bool:
    """Check that a text consists of lines of printable characters."""
    return all(line.isprintable() for line in text.split("\n"))


def quiet(ended: Ended) -> bool:
    """Check that a command printed no control sequence and no traceback."""
    shown = ended.out + ended.err
    return harmless(shown) and "Traceback" not in shown
