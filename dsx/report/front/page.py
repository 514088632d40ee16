"""The front as one HTML file that works offline: an interactive plot above the table."""

import json
import math
import re
import textwrap
from collections.abc import Iterator
from importlib.resources import files

from plotly.offline import get_plotlyjs

from dsx.analysis import Entry, Front, chance_notes
from dsx.errors import printable
from dsx.report.front.roles import LOOKS, Role, hollow, legend, role, status
from dsx.report.front.summary import claim_notes, headline, highlights, left_out_notes, tally
from dsx.report.front.view import (
    TRIAL,
    axis_title,
    dense,
    has_uncertainty,
    listed,
    logarithmic,
    metrics,
    number,
    probability,
    ratio,
    short_ids,
    unlisted,
)
from dsx.report.text.escape import html, printable_front
from dsx.report.text.numbers import FLAGS, annotated, counted_unit, kind, title
from dsx.report.text.outcomes import other_trials, outcome_notes


def page(front: Front, x: str, y: str) -> str:
    """Write the page of a front.

    Args:
        front: Front of a study.
        x: Metric, or `trial`, that is initially on the horizontal axis.
        y: Metric, or `trial`, that is initially on the vertical axis.

    Returns:
        An HTML document without external resources.
    """
    front, x, y = printable_front(front), printable(x), printable(y)
    parts = {
        "TITLE": html(front.study),
        "HEADLINE": html(f"{headline(front)}."),
        "TALLY": html(f"Space {front.space}: {tally(front)}."),
        "TABLE": _table(front),
        "CONDITIONS": "".join(
            f"<dt>{html(name)}</dt><dd>{html(text)}</dd>"
            for name, text in [*_notes(front), *front.conditions.items()]
        ),
        "PLOTLY": get_plotlyjs(),
        # "</script>" in a text must not end the script.
        "DATA": json.dumps(_data(front, x, y), allow_nan=False).replace("<", "\\u003c"),
    }
    template = files("dsx.report").joinpath("page.html").read_text(encoding="utf-8")
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], template)


def _data(front: Front, x: str, y: str) -> dict[str, object]:
    names = [*metrics(front), TRIAL]
    others = [name for name in front.objectives if name not in (x, y)]
    return {
        "objectives": dict(front.objectives),
        "chosen": {"x": x, "y": y, "colour": others[0] if others else ""},
        "metrics": {name: _metric(front, name) for name in names},
        "designs": [_design(front, entry, names) for entry in front.entries],
        "roles": [_role(front, kind) for kind in LOOKS],
    }


def _role(front: Front, kind: Role) -> dict[str, object]:
    look = LOOKS[kind]
    return {
        "name": kind,
        "legend": legend(front, kind),
        "symbol": f"{look.symbol}-open" if hollow(front, kind) else look.symbol,
        "open": hollow(front, kind),
        "size": look.size,
        "edge": look.edge,
        "colour": look.colour,
    }


def _metric(front: Front, name: str) -> dict[str, object]:
    unit = front.units.get(name, "")
    return {
        "title": title(name, unit),
        # Plotly interprets HTML in the titles of axes.
        "heading": html(axis_title(front, name)),
        "format": {"share": ".4~%", "count": ".4~s", "symbol": ""}[kind(unit)],
        "log": logarithmic(front, name),
    }


def _design(front: Front, entry: Entry, names: list[str]) -> dict[str, object]:
    return {
        "id": entry.id,
        "trial": entry.trial,
        "role": role(front, entry),
        "on_front": entry.id in front.front_ids,
        "hover": _hover(front, entry),
        "metrics": {
            name: [
                value.value,
                value.low if math.isfinite(value.low) else value.value,
                value.high if math.isfinite(value.high) else value.value,
            ]
            for name in names
            if (value := number(entry, name))
        },
    }


def _hover(front: Front, entry: Entry) -> str:
    """Build the hover text of a design, in the subset of HTML that Plotly supports."""
    lines = [f"<b>#{entry.trial}</b> {html(entry.id)}, {legend(front, role(front, entry))}"]
    if front.devices:
        lines.append(f"measured on device {front.devices[entry.device]}")
    for name in metrics(front):
        if name in entry.metrics:
            unit = front.units.get(name, "")
            compared = ratio(front, entry, name)
            value = annotated(entry.metrics[name], unit) + (f" ({compared})" if compared else "")
            lines.append(html(f"{title(name, unit)}: {value}"))
    return "<br>".join([*lines, *map(html, textwrap.wrap(entry.description, 60))])


def _table(front: Front) -> str:
    names, ids = metrics(front), short_ids(front)
    heads = ["<th>trial</th>", "<th>id</th>"]
    for name in names:
        unit = front.units.get(name, "")
        small = f"<small>{html(counted_unit(name, unit))}</small>"
        heads.append(f'<th class="figure">{html(title(name, unit))}{small}</th>')
    uncertain = has_uncertainty(front)
    heads += ['<th class="figure">P(front)</th>'] * uncertain
    heads += ['<th class="figure">dense</th>', "<th>design</th>"]
    rows = []
    for entry in listed(front):
        cells = [
            f'<td data-value="{entry.trial}">#{entry.trial}</td>',
            f"<td><code>{html(ids[entry.id])}</code></td>",
            *(_cell(front, entry, name) for name in names),
            *[_chance_cell(front, entry)] * uncertain,
            f'<td class="figure">{dense(entry)}</td>',
            f"<td>{html(entry.description)}{_remark(front, entry)}</td>",
        ]
        rows.append(f'<tr id="{html(entry.id)}" class="{role(front, entry)}">{"".join(cells)}</tr>')
    return (
        f"<table><thead><tr>{''.join(heads)}</tr></thead>\n"
        f"<tbody>{chr(10).join(rows)}</tbody></table>"
    )


def _chance_cell(front: Front, entry: Entry) -> str:
    chance = front.probability[entry.id]
    return f'<td class="figure" data-value="{chance}">{html(probability(front, entry))}</td>'


def _cell(front: Front, entry: Entry, name: str) -> str:
    if name not in entry.metrics:
        return '<td class="figure">-</td>'
    value = entry.metrics[name]
    compared = ratio(front, entry, name)
    shown = annotated(value, front.units.get(name, ""))
    small = f"<small>{compared}</small>" if compared else ""
    return f'<td class="figure" data-value="{value.value}">{html(shown)}{small}</td>'


def _remark(front: Front, entry: Entry) -> str:
    kind = role(front, entry)
    remarks = list(highlights(front).get(entry.id, ()))
    if entry.id == front.baseline:
        remarks.append(status(front, entry))
    elif hollow(front, kind):
        remarks.append(legend(front, kind))
    if front.devices:
        remarks.append(f"device {front.devices[entry.device]}")
    return f"<small>{html(', '.join(remarks))}</small>" if remarks else ""


def _notes(front: Front) -> Iterator[tuple[str, str]]:
    """List notes on trials, the meanings of flags, and the number of unlisted designs."""
    yield from (("candidates", note) for note in outcome_notes(front.outcomes))
    yield from (("chance", note) for note in chance_notes(front))
    yield from (("left out", note) for note in left_out_notes(front))
    yield from (("comparison", note) for note in claim_notes(front))
    shown = [value for entry in listed(front) for value in entry.metrics.values()]
    for name, (sign, meaning) in FLAGS.items():
        if any(getattr(value, name) for value in shown):
            yield sign, meaning
    if has_uncertainty(front):
        yield "P(front)", "probability that the design is on the front"
        yield "uncertain", "this probability is between 5 and 95 %, or a flagged value decides it"
    if unlisted(front):
        yield "not in the table", f"{unlisted(front)} more possible members of the front"
    if trials := other_trials(front.outcomes):
        yield "trials", trials
