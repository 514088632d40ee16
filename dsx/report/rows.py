"""The front for programs: one JSON document, or the same rows as CSV."""

import csv
import io
import json
import math

from dsx.report.view import metrics
from dsx.study.front import Entry, Front

SCHEMA_VERSION = 1
"""Raised when a key of the document changes its meaning or goes."""


def document(front: Front) -> dict[str, object]:
    """Describe a front in plain data.

    Args:
        front: A front.

    Returns:
        What `json.dumps` takes as it is. Infinite numbers are null.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "study": front.study,
        "space": front.space,
        "objectives": dict(front.objectives),
        "units": {name: front.units.get(name, "") for name in metrics(front)},
        "conditions": dict(front.conditions),
        "devices": dict(front.devices),
        "baseline": front.baseline if front.baseline_entry else None,
        "knee": front.knee.id if front.on_front else None,
        "reference": {name: _plain(number) for name, number in front.reference.items()},
        "hypervolume": _plain(front.hypervolume),
        "designs": [_design(front, entry) for entry in front.entries],
    }


def as_json(front: Front) -> str:
    """Write the document of a front as JSON, to be read by people too."""
    return json.dumps(document(front), indent=2, ensure_ascii=False, allow_nan=False)


def as_csv(front: Front) -> str:
    """Write the designs of a front as CSV.

    Args:
        front: A front.

    Returns:
        A heading and a line per design, in trial order. A metric with an interval in any design
        has columns `<name>_low` and `<name>_high` too, one that is a mean over seeds in any design
        `<name>_seeds`; `device` says on which of several mixed devices a design was measured. What
        is infinite or not measured is empty.
    """
    measured = [item for entry in front.entries for item in entry.metrics.items()]
    more = {
        "low": {name for name, value in measured if not value.exact},
        "high": {name for name, value in measured if not value.exact},
        "seeds": {name for name, value in measured if value.seeds > 1},
    }
    columns = [
        column
        for name in metrics(front)
        for column in (name, *(f"{name}_{end}" for end, names in more.items() if name in names))
    ]
    device = ["device"] if front.devices else []
    out = io.StringIO()
    fields = ["id", "trial", "on_front", "certainty", "feasible", *device, *columns, "words"]
    writer = csv.DictWriter(out, fields, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_row(front, entry) for entry in front.entries)
    return out.getvalue()


def _design(front: Front, entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "trial": entry.trial,
        "on_front": entry.id in front.front_ids,
        "certainty": front.certainty[entry.id],
        "feasible": entry.feasible,
        "device": entry.device,
        "metrics": {
            name: {
                "value": _plain(value.value),
                "low": _plain(value.low),
                "high": _plain(value.high),
                "seeds": value.seeds,
                "readings": value.readings,
                "wide": value.wide,
                "busy": value.busy,
            }
            for name, value in entry.metrics.items()
        },
        "spec": {slot: dict(dials) for slot, dials in entry.spec.items()},
        "words": entry.words,
        "redesigned": entry.redesigned,
        "fallbacks": entry.fallbacks,
    }


def _row(front: Front, entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "id": entry.id,
        "trial": entry.trial,
        "on_front": json.dumps(entry.id in front.front_ids),
        "certainty": front.certainty[entry.id],
        "feasible": json.dumps(entry.feasible),
        "device": entry.device,
        "words": entry.words,
    }
    for name, value in entry.metrics.items():
        row |= {
            name: _plain(value.value),
            f"{name}_low": _plain(value.low),
            f"{name}_high": _plain(value.high),
            f"{name}_seeds": value.seeds,
        }
    return row


def _plain(number: float) -> float | int | None:
    """Write counts without a decimal point, and what JSON has no number for as null."""
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number
