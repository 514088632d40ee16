"""One short line about failed candidates, and one about violated constraints."""

from dataclasses import replace

import pytest

from dsx.analysis import TrialState
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.text.outcomes import (
    LONGEST_REASON,
    counted_states,
    failure_note,
    other_trials,
    outcome_notes,
    outcomes_json,
    shortened,
)

TYPE = Reason(text="TypeError: expected size 6", trials=(*range(4, 14), *range(15, 25)))
MEMORY = Reason(text="out of memory: tried to allocate 2 GiB", trials=(9, 14))
FAILED = Outcomes(
    counts={TrialState.COMPLETE: 3, TrialState.FAILED: 22},
    complete=2,
    failed=22,
    failures=(TYPE, MEMORY),
)


def test_failures_are_counted_by_kind_with_the_first_trial_of_each() -> None:
    assert failure_note(FAILED) == (
        "22 candidates failed: 20 x TypeError: expected size 6 (first: #4); "
        "2 x out of memory: tried to allocate 2 GiB (first: #9)"
    )
    assert outcome_notes(FAILED) == [failure_note(FAILED)]


@pytest.mark.parametrize(
    ("outcomes", "begin"),
    [
        (replace(FAILED, complete=0), "All 22 candidates failed: "),
        (replace(FAILED, complete=0, rejected=1), "22 candidates failed: "),
        (
            Outcomes(failed=1, failures=(Reason(text="x", trials=(1,)),)),
            "1 candidate failed: 1 x x (",
        ),
    ],
)
def test_the_number_of_failures_comes_first(outcomes: Outcomes, begin: str) -> None:
    assert failure_note(outcomes).startswith(begin)


def test_rare_kinds_are_counted_together() -> None:
    kinds = [Reason(text=letter, trials=(at,)) for at, letter in enumerate("abcde", start=1)]
    end = "3 x c (first: #3)"
    kinds[2] = Reason(text="c", trials=(3, 8, 9))
    many = Outcomes(failed=7, failures=(kinds[2], *kinds[:2], *kinds[3:]))
    assert failure_note(many) == (
        f"All 7 candidates failed: {end}; 1 x a (first: #1); 1 x b (first: #2); 2 x 2 other reasons"
    )
    assert failure_note(replace(many, failures=many.failures[:4])).endswith("; 1 x 1 other reason")


def test_violations_are_shown_if_most_candidates_violate_a_constraint() -> None:
    flops, bits = Reason(text="flops", trials=(1, 2, 3)), Reason(text="bits", trials=(2,))
    outcomes = Outcomes(complete=3, rejected=2, violating=3, violations=(flops, bits))
    note = "3 of 5 candidates violate a constraint: 3 x flops (first: #1); 1 x bits (first: #2)"
    assert outcome_notes(outcomes) == [note]
    assert outcome_notes(replace(outcomes, violating=2)) == []
    assert outcome_notes(Outcomes(rejected=1, violating=1)) == [
        "1 of 1 candidates violates a constraint"
    ]


def test_studies_without_problems_have_no_notes() -> None:
    assert (
        outcome_notes(Outcomes())
        == []
        == outcome_notes(Outcomes(complete=9, counts={TrialState.COMPLETE: 10}))
    )
    assert (
        other_trials(Outcomes())
        == ""
        == other_trials(Outcomes(counts={TrialState.COMPLETE: 10, TrialState.RUNNING: 1}))
    )
    assert other_trials(Outcomes(counts={TrialState.REPEATED: 2, TrialState.COMPLETE: 10})) == (
        "10 completed, 2 repeated"
    )
    assert counted_states({}) == ""


@pytest.mark.parametrize(("damaged", "begin"), [(1, "1 trial is"), (2, "2 trials are")])
def test_damaged_trials_are_counted(damaged: int, begin: str) -> None:
    assert outcome_notes(Outcomes(damaged=damaged)) == [
        f"{begin} ignored because of damaged rows in dsx_trials"
    ]


def test_a_reason_is_one_short_printable_line_without_a_password() -> None:
    assert shortened("a\n  b\x1b[2J") == "a b\\x1b[2J"
    assert shortened("at postgresql://u:s3cret@h/d") == "at postgresql://u:***@h/d"
    assert shortened("x" * 500) == f"{'x' * LONGEST_REASON}..."


def test_json_contains_all_counts_and_complete_reasons() -> None:
    long = Reason(text="y" * 500, trials=(3,))
    found = outcomes_json(replace(FAILED, failures=(TYPE, long), violating=0))
    assert found["trials"] == {
        "complete": 3, "screened": 0, "stopped": 0, "rejected": 0, "failed": 22, "repeated": 0,
        "interrupted": 0,
    }  # fmt: skip
    assert found["candidates"] == {
        "ended": 24, "complete": 2, "rejected": 0, "failed": 22, "left_out": 0, "checked": [],
        "violating": 0,
    }  # fmt: skip
    assert found["failures"] == [
        {"reason": TYPE.text, "count": 20, "first": 4, "trials": list(TYPE.trials)},
        {"reason": long.text, "count": 1, "first": 3, "trials": [3]},
    ]
    assert found["violations"] == []
    assert (found["baseline_failure"], found["damaged_trials"]) == (None, 0)


def test_json_contains_the_failure_of_the_baseline_and_the_damaged_trials() -> None:
    failure = "no connection to postgresql://u:s3cret@h/d"
    found = outcomes_json(Outcomes(baseline_failure=failure, damaged=2))
    assert found["baseline_failure"] == "no connection to postgresql://u:***@h/d"
    assert found["damaged_trials"] == 2
