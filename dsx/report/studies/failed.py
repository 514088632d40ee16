"""Failed trials of studies: reasons, counted by kind, and tracebacks."""

from collections.abc import Iterator, Mapping, Sequence

from dsx.report.text.console import console
from dsx.report.text.listing import print_rows
from dsx.report.text.outcomes import shortened
from dsx.secret import without_url_password
from dsx.store.studies import FailedStudy, FailedTrial

MOST_TRIALS = 10
"""Maximum number of trials that are listed for a reason."""


def print_failed(studies: Sequence[FailedStudy], format: str, about: Mapping[str, object]) -> None:
    """Print failed trials to stdout.

    Args:
        studies: Failed trials of each study.
        format: "table", "json" or "csv".
        about: Further keys of a JSON document.
    """
    if format != "table":
        rows = [_row(trial) for study in studies for trial in study.trials]
        print_rows(rows, format, about, "failed")
        return
    lines = [line for study in studies for line in _lines(study)]
    console().print(*lines or ["no failed trials"], sep="\n", soft_wrap=True)


def _row(trial: FailedTrial) -> dict[str, object]:
    return {
        "study": trial.study,
        "trial": trial.number,
        "design": trial.design,
        "description": trial.description,
        "reason": without_url_password(trial.reason),
        "traceback": without_url_password(trial.traceback),
    }


def _lines(study: FailedStudy) -> Iterator[str]:
    trials = {trial.number: trial for trial in study.trials}
    for reason in study.reasons:
        first = trials[reason.trials[0]]
        yield f"{study.name}: {len(reason.trials)} x {shortened(reason.text)}"
        numbers = ", ".join(f"#{number}" for number in reason.trials[:MOST_TRIALS])
        more = len(reason.trials) - MOST_TRIALS
        yield f"trials {numbers}{f' and {more} more' if more > 0 else ''}; the first of them:"
        yield f"  #{first.number} ({first.design}): {first.description}"
        traceback = without_url_password(first.traceback) or "no traceback is stored"
        yield from (f"  {line}" for line in traceback.splitlines())
