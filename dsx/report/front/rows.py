"""The front as a JSON document or as CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping

from dsx.analysis import Entry, Estimate, Front, chance_notes
from dsx.report.front.summary import claim_notes, left_out_notes
from dsx.report.front.view import metrics
from dsx.report.text.escape import cell, json_text
from dsx.report.text.outcomes import outcome_notes, outcomes_json

SCHEMA_VERSION = 4
"""Version of the document, from which an archived study is read; raised when a key is added that
the reader needs, or when a key changes its meaning or is removed."""

PLACES = 3
"""Decimal places of a probability, which is estimated from a thousand samples."""

_SAMPLED = "low", "high", "seeds", "readings", "converged", "noisy"
"""Further columns of a metric with intervals."""

_NONE: Mapping[str, object] = {}

_CHANCE = "at_chance"
"""Further column of a metric with a chance level."""


def document(front: Front) -> dict[str, object]:
    """Describe a front as plain JSON values.

    Args:
        front: Front of a study.

    Returns:
        The document; infinite values are null.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "study": front.study,
        "space": front.space,
        "objectives": dict(front.objectives),
        "units": {name: front.units.get(name, "") for name in metrics(front)},
        "metrics": {
            name: {"stage": kind.stage, "refinement": kind.refinement}
            for name, kind in front.kinds.items()
        },
        "conditions": dict(front.conditions),
        "devices": dict(front.devices),
        "baseline": front.baseline if front.baseline_entry else None,
        "knee": front.knee.id if front.has_knee else None,
        "reference": {name: _plain(number) for name, number in front.reference.items()},
        "at_chance": list(front.at_chance),
        "notes": [
            *outcome_notes(front.outcomes),
            *chance_notes(front),
            *left_out_notes(front),
            *claim_notes(front),
        ],
        **outcomes_json(front.outcomes),
        "hypervolume": _plain(front.hypervolume),
        "designs": [_design(front, entry) for entry in front.entries],
    }


def as_json(front: Front, sections: Mapping[str, object] = _NONE) -> str:
    """Write the document of a front as indented JSON.

    Args:
        front: The front.
        sections: Further keys of the document.

    Returns:
        The text of the document.
    """
    whole = {**document(front), **sections}
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False)
    return json_text(text)


def as_csv(front: Front) -> str:
    """Write the designs of a front as CSV.

    Args:
        front: Front of a study.

    Returns:
        A header and a row for each design, in trial order. A metric with an interval in any design
        also has the columns `<name>_low`, `_high`, `_seeds`, `_readings`, `_converged` and
        `_noisy`, and a metric with a chance level `_at_chance`; `device` is the device of a design
        if the front contains several, and `missing` the reason for which an objective is missing,
        if any is. Infinite and missing values are empty.
    """
    measured = [item for entry in front.entries for item in entry.metrics.items()]
    sampled = {name for name, value in measured if not value.exact}
    predicted = {name for name, value in measured if value.chance is not None}
    columns = []
    for name in metrics(front):
        more = [*_SAMPLED] * (name in sampled) + [_CHANCE] * (name in predicted)
        columns += [name, *(f"{name}_{column}" for column in more)]
    device = ["device"] if front.devices else []
    missing = ["missing"] if any(entry.missing for entry in front.entries) else []
    out = io.StringIO()
    fields = ["id", "trial", "on_front", "membership", "probability", "feasible", *device]
    fields += [*columns, *missing, "description"]
    writer = csv.DictWriter(out, fields, lineterminator="\n", extrasaction="ignore")
    heading = dict(zip(fields, fields, strict=True))
    rows: list[dict[str, object]] = [{**heading}, *(_row(front, entry) for entry in front.entries)]
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _design(front: Front, entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "trial": entry.trial,
        "on_front": entry.id in front.front_ids,
        "membership": front.membership[entry.id],
        "probability": round(front.probability[entry.id], PLACES),
        "feasible": entry.feasible,
        "device": entry.device,
        "metrics": {name: _number(value) for name, value in entry.metrics.items()},
        "spec": {slot: dict(dials) for slot, dials in entry.spec.items()},
        "description": entry.description,
        "redesigned": entry.redesigned,
        "fallbacks": entry.fallbacks,
        "deployed": entry.deployed,
        "deployed_counts": dict(entry.deployed_counts),
        "missing": dict(entry.missing),
    }


def _row(front: Front, entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "id": entry.id,
        "trial": entry.trial,
        "on_front": json.dumps(entry.id in front.front_ids),
        "membership": front.membership[entry.id],
        "probability": round(front.probability[entry.id], PLACES),
        "feasible": json.dumps(entry.feasible),
        "device": entry.device,
        "missing": "; ".join(f"{name}: {reason}" for name, reason in entry.missing.items()),
        "description": entry.description,
    }
    for name, value in entry.metrics.items():
        row |= {f"{name}_{more}": number for more, number in _number(value).items()}
        row[name] = _plain(value.value)
        flags = {"converged": value.converged, "noisy": value.noisy, _CHANCE: value.at_chance}
        row |= {f"{name}_{flag}": json.dumps(state) for flag, state in flags.items()}
    return row


def _number(value: Estimate) -> dict[str, object]:
    number: dict[str, object] = {
        "value": _plain(value.value),
        "low": _plain(value.low),
        "high": _plain(value.high),
        "seeds": value.seeds,
        "readings": value.readings,
        "converged": value.converged,
        "noisy": value.noisy,
        "measurements": sorted(value.rests_on),
    }
    if value.chance is not None:
        number |= {
            "chance": value.chance,
            "better_than_chance": value.better_than_chance,
            "at_chance": value.at_chance,
            "constant": value.constant,
        }
    return number


def _plain(number: float) -> float | int | None:
    """Convert counts to integers, and infinite values to None."""
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number
