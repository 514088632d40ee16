"""Escaping of text from data for each output format, so that no name is interpreted as markup."""

import html as markup
import json
import re
import unicodedata
from dataclasses import replace

from dsx.analysis import Front, Outcomes
from dsx.errors import printable


def printable_front(front: Front) -> Front:
    """Make every name in a front printable.

    Args:
        front: Front whose names were read from a database.

    Returns:
        The front with printable names; the same object if all names are printable already.
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
        outcomes=_printable_outcomes(front.outcomes),
    )
    # The same object keeps its cached properties.
    return front if shown == front else shown


def _printable_outcomes(outcomes: Outcomes) -> Outcomes:
    return replace(
        outcomes,
        failures=tuple(replace(each, text=printable(each.text)) for each in outcomes.failures),
        violations=tuple(replace(each, text=printable(each.text)) for each in outcomes.violations),
        baseline_failure=printable(outcomes.baseline_failure),
    )


def html(text: str) -> str:
    """Escape text for HTML elements, attributes and the labels of Plotly.

    Args:
        text: Any text.

    Returns:
        Printable text without markup.
    """
    return markup.escape(printable(text))


def markdown(text: str) -> str:
    """Escape text for a line of Markdown.

    Args:
        text: Any text.

    Returns:
        One printable line without markup.
    """
    # An underscore inside a word has no meaning in Markdown.
    plain = markup.escape(printable(text), quote=False)
    return re.sub(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)", r"\\\g<0>", plain)


def fenced(text: str) -> str:
    """Format lines as a fenced code block of Markdown.

    Args:
        text: The lines; none of them can end the block.

    Returns:
        The block.
    """
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """Format text as inline code of Markdown.

    Args:
        text: Any text; nothing in it can end the code.

    Returns:
        The code with its backticks.
    """
    shown = printable(text)
    longest = _longest_run(shown)
    room = " " if longest else ""
    return f"{'`' * (1 + longest)}{room}{shown}{room}{'`' * (1 + longest)}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def cell(value: object) -> object:
    """Escape a cell of a CSV file, so that no spreadsheet evaluates it as a formula.

    Args:
        value: Text, or a value that is returned unchanged.

    Returns:
        Printable text, preceded by an apostrophe if a spreadsheet would evaluate it.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    # Some spreadsheets also accept full-width signs.
    sign = unicodedata.normalize("NFKC", text[:1])
    return f"'{text}" if sign in ("=", "+", "-", "@") and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def json_text(document: str) -> str:
    """Escape the control characters in a JSON document that `json.dumps` leaves unescaped.

    Args:
        document: Output of `json.dumps`.

    Returns:
        An equivalent document without control characters; letters of all languages are kept.
    """
    return "\n".join(
        line
        if line.isprintable()
        else "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
        for line in document.split("\n")
    )
