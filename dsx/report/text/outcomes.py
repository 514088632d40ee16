"""Notes about the outcomes of the trials of a study, as text and as JSON values."""

from collections.abc import Mapping, Sequence

from dsx.analysis import Outcomes, Reason, TrialState
from dsx.errors import printable
from dsx.secret import without_url_password

LONGEST_REASON = 120
"""Maximum number of characters of a reason in a line."""
MOST_REASONS = 3
"""Maximum number of different reasons in a line."""
_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.SCREENED: "not timed",
    TrialState.STOPPED: "stopped early",
    TrialState.REJECTED: "rejected by a constraint",
    TrialState.FAILED: "failed",
    TrialState.REPEATED: "repeated",
    TrialState.INTERRUPTED: "interrupted",
}
"""Description of each state of a trial that has ended."""


def counted_states(counts: Mapping[TrialState, int]) -> str:
    """Count trials by their state.

    Args:
        counts: State to number of trials.

    Returns:
        Such as "12 completed, 3 failed"; empty if there are no trials.
    """
    parts = [f"{counts[state]} {text}" for state, text in _STATES.items() if counts.get(state)]
    return ", ".join(parts)


def other_trials(outcomes: Outcomes) -> str:
    """Count the trials by their state, unless all of them are completed.

    Args:
        outcomes: Outcomes of the trials of a study.

    Returns:
        As of `counted_states`; empty if all trials are completed.
    """
    others = outcomes.counts.keys() & _STATES.keys() - {TrialState.COMPLETE}
    return (
        counted_states(outcomes.counts) if any(outcomes.counts[state] for state in others) else ""
    )


def outcome_notes(outcomes: Outcomes) -> list[str]:
    """Describe why candidates of a study failed or violate a constraint.

    Args:
        outcomes: Outcomes of the trials of the study.

    Returns:
        A line about the candidates that failed, if there are any, and a line about the violated
        constraints, if most candidates violate one.
    """
    notes = []
    if outcomes.failed:
        notes.append(failure_note(outcomes))
    if 2 * outcomes.violating > outcomes.candidates:
        notes.append(_violation_note(outcomes))
    if outcomes.damaged:
        trials = "1 trial is" if outcomes.damaged == 1 else f"{outcomes.damaged} trials are"
        notes.append(f"{trials} ignored because of damaged rows in dsx_trials")
    return notes


def failure_note(outcomes: Outcomes) -> str:
    """Count the failed candidates by their reason.

    Args:
        outcomes: Outcomes of the trials of a study; at least one candidate failed.

    Returns:
        Such as "22 candidates failed: 20 x TypeError: ... (first: #4); 2 x out of memory: ...
        (first: #9)".
    """
    failed = "candidate" if outcomes.failed == 1 else "candidates"
    listed = _listed(outcomes.failures)
    if outcomes.all_failed and not outcomes.rejected and outcomes.failed > 1:
        return f"All {outcomes.failed} {failed} failed: {listed}"
    return f"{outcomes.failed} {failed} failed: {listed}"


def _violation_note(outcomes: Outcomes) -> str:
    verb = "violates" if outcomes.violating == 1 else "violate"
    note = f"{outcomes.violating} of {outcomes.candidates} candidates {verb} a constraint"
    return f"{note}: {_listed(outcomes.violations)}" if outcomes.violations else note


def _listed(reasons: Sequence[Reason]) -> str:
    """List the most common reasons, and count the trials of all others together."""
    parts = [
        f"{len(reason.trials)} x {shortened(reason.text)} (first: #{reason.trials[0]})"
        for reason in reasons[:MOST_REASONS]
    ]
    if others := reasons[MOST_REASONS:]:
        trials = sum(len(reason.trials) for reason in others)
        kinds = "1 other reason" if len(others) == 1 else f"{len(others)} other reasons"
        parts.append(f"{trials} x {kinds}")
    return "; ".join(parts)


def shortened(text: str) -> str:
    """Reduce a text to one short line.

    Args:
        text: Reason of a failure.

    Returns:
        A printable line of at most `LONGEST_REASON` characters, without passwords.
    """
    line = without_url_password(printable(" ".join(text.split())))
    return f"{line[:LONGEST_REASON]}..." if len(line) > LONGEST_REASON else line


def outcomes_json(outcomes: Outcomes) -> dict[str, object]:
    """Describe the outcomes of the trials of a study as plain JSON values.

    Args:
        outcomes: Outcomes of the trials of the study.

    Returns:
        `trials`, state to number; `candidates`, the designs other than the baseline that were
        evaluated; `failures` and `violations`, the reasons with the numbers of their trials;
        `baseline_failure`, the reason for which the baseline failed, if it did; `damaged_trials`,
        the number of trials whose row of the database cannot be used.
    """
    return {
        "trials": {state: outcomes.counts.get(state, 0) for state in _STATES},
        "candidates": {
            "ended": outcomes.candidates,
            "complete": outcomes.complete,
            "rejected": outcomes.rejected,
            "failed": outcomes.failed,
            "left_out": outcomes.left_out,
            "checked": list(outcomes.checked),
            "violating": outcomes.violating,
        },
        "failures": failures_json(outcomes),
        "violations": [
            {"constraint": reason.text, **_trials(reason)} for reason in outcomes.violations
        ],
        "baseline_failure": without_url_password(outcomes.baseline_failure) or None,
        "damaged_trials": outcomes.damaged,
    }


def failures_json(outcomes: Outcomes) -> list[dict[str, object]]:
    """Describe the reasons of failed candidates as plain JSON values.

    Args:
        outcomes: Outcomes of the trials of a study.

    Returns:
        A dict for each reason, the most common first.
    """
    return [
        {"reason": without_url_password(reason.text), **_trials(reason)}
        for reason in outcomes.failures
    ]


def _trials(reason: Reason) -> dict[str, object]:
    return {
        "count": len(reason.trials),
        "first": reason.trials[0],
        "trials": list(reason.trials),
    }
