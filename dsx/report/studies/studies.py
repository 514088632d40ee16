"""The list of the studies of a database, with the reasons of failures."""

import json
from collections.abc import Mapping, Sequence

from dsx.report.text.console import console
from dsx.report.text.listing import listing, print_rows
from dsx.report.text.outcomes import failures_json, outcome_notes, shortened
from dsx.secret import without_url_password
from dsx.store.studies import StudySummary


def print_studies(
    studies: Sequence[StudySummary], format: str, about: Mapping[str, object]
) -> None:
    """Print studies to stdout.

    Args:
        studies: The studies.
        format: "table", "json" or "csv".
        about: Further keys of a JSON document.
    """
    rows = [_row(study) for study in studies]
    if format != "table" or not studies:
        if format == "csv":
            # The cell contains a JSON document.
            rows = [{**row, "failures": json.dumps(row["failures"])} for row in rows]
        print_rows(rows, format, about, "studies")
        return
    out = console()
    hidden = ["failures", "baseline_failure"] + ["failed"] * (
        not any(study.outcomes.failed for study in studies)
    )
    out.print(listing([_without(row, hidden) for row in rows]))
    for study in studies:
        if failure := study.outcomes.baseline_failure:
            out.print(f"{study.name}: The baseline failed: {shortened(failure)}", soft_wrap=True)
        for note in outcome_notes(study.outcomes):
            out.print(f"{study.name}: {note}", soft_wrap=True)


def _row(study: StudySummary) -> dict[str, object]:
    return {
        "study": study.name,
        "space": study.space,
        "designs": study.complete,
        "trials": study.trials,
        "failed": study.outcomes.failed,
        "failures": failures_json(study.outcomes),
        "baseline_failure": without_url_password(study.outcomes.baseline_failure) or None,
        "created": f"{study.created_at:%Y-%m-%dT%H:%MZ}",
        "running": study.running,
    }


def _without(row: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name not in names}
