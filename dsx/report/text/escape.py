"""Escape text from data for each medium: a name may hold anything, and none of it is markup."""

import html as markup
import json
import re
import unicodedata
from dataclasses import replace

from dsx.analysis import Front, Outcomes
from dsx.errors import printable


def readable(front: Front) -> Front:
    """Make every name in a front printable, before it is shown to people in any medium.

    Args:
        front: A front; its names are from a database.

    Returns:
        The front with printable names; the same object if all of them are, as dsx writes them.
    """
    entries = tuple(
        replace(
            entry,
            id=printable(entry.id),
            metrics={printable(name): value for name, value in entry.metrics.items()},
            description=printable(entry.description),
            device=printable(entry.device),
        )
        for entry in front.entries
    )
    shown = replace(
        front,
        study=printable(front.study),
        space=printable(front.space),
        objectives={printable(name): way for name, way in front.objectives.items()},
        units={printable(name): printable(unit) for name, unit in front.units.items()},
        entries=entries,
        baseline=printable(front.baseline),
        reference={printable(name): number for name, number in front.reference.items()},
        conditions={printable(name): printable(text) for name, text in front.conditions.items()},
        devices={printable(name): number for name, number in front.devices.items()},
        outcomes=_readable_outcomes(front.outcomes),
    )
    # What was computed for a front stays with the object.
    return front if shown == front else shown


def _readable_outcomes(outcomes: Outcomes) -> Outcomes:
    return replace(
        outcomes,
        failures=tuple(replace(each, text=printable(each.text)) for each in outcomes.failures),
        violations=tuple(replace(each, text=printable(each.text)) for each in outcomes.violations),
        baseline_failure=printable(outcomes.baseline_failure),
    )


def html(text: str) -> str:
    """Escape text for HTML, in an element, in an attribute, or in the labels of Plotly."""
    return markup.escape(printable(text))


def markdown(text: str) -> str:
    """Escape text for a line of Markdown; an underscore inside a word means nothing there."""
    plain = markup.escape(printable(text), quote=False)
    return re.sub(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)", r"\\\g<0>", plain)


def fenced(text: str) -> str:
    """Write lines as a block of code in Markdown, which nothing in them can end."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """Write text as code in a line of Markdown, which nothing in it can end."""
    shown = printable(text)
    longest = _longest_run(shown)
    room = " " if longest else ""
    return f"{'`' * (1 + longest)}{room}{shown}{room}{'`' * (1 + longest)}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def cell(value: object) -> object:
    """Escape a cell of a CSV file, so that no spreadsheet takes text for a formula.

    Args:
        value: A number, which is returned unchanged, or text.

    Returns:
        Printable text; with an apostrophe in front where a spreadsheet would compute it.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    # Some spreadsheets take the wide signs of East Asian fonts too.
    sign = unicodedata.normalize("NFKC", text[:1])
    return f"'{text}" if sign in ("=", "+", "-", "@") and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def json_text(document: str) -> str:
    """Escape what a terminal would obey in a JSON document, which stays the same document.

    Args:
        document: As `json.dumps` writes it; it escapes some of these characters only.

    Returns:
        The document; letters of any language stand for themselves.
    """
    return "\n".join(
        line
        if line.isprintable()
        else "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
        for line in document.split("\n")
    )
