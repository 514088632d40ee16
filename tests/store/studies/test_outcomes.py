"""Outcomes of the trials of a study, read from its database."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dsx import front
from dsx.analysis import TrialState
from dsx.analysis.reasons import Outcomes, Reason
from dsx.measure import this_device
from dsx.search.plan import make_plan
from dsx.search.resume import create_or_resume
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import DesignRow, TrialDetailRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.failed_trials import load_failed
from dsx.store.studies.outcomes import load_outcomes, slot_names
from dsx.store.studies.study import find_study
from dsx.store.studies.trials import Outcome, Trials
from tests.search.looking import rows
from tests.search.spaces import STATIC, varied

SPACE = load_space(STATIC)
FLOPS, BOTH = {"flops": 2.0, "params": -1.0}, {"flops": 1.0, "params": 3.0}
SAMPLES = [
    Outcome(state=TrialState.FAILED, reason="TypeError: 3 x 3", traceback="Traceback of 1"),
    Outcome(state=TrialState.REJECTED, reason="violates the constraint on flops", violations=FLOPS),
    Outcome(state=TrialState.FAILED, reason="out of memory", traceback="Traceback of 3"),
    Outcome(state=TrialState.FAILED, reason="TypeError: 5 x 5", traceback="Traceback of 4"),
    Outcome(state=TrialState.COMPLETE, violations=BOTH),
    Outcome(state=TrialState.COMPLETE, violations={"flops": 0.0}),
]
"""Outcomes of the trials 1 to 6; trial 0 is the baseline."""


IDS = [SPACE.baseline.id, *(f"{number:012}" for number in range(1, 7))]


@pytest.fixture
def engine(storage: str) -> Engine:
    """A database with the study `s`, whose trials have all possible outcomes."""
    engine = open_database(storage, create=True)
    measurements = MeasurementStore(engine, this_device())
    create_or_resume("s", make_plan(SPACE, measurements), measurements, seed=0, engine=engine)
    trials = Trials(engine, "s")
    for number, outcome in enumerate(
        [Outcome(state=TrialState.COMPLETE, violations=FLOPS), *SAMPLES]
    ):
        add(engine, trials, number, outcome)
    trials.start(7, IDS[1])
    trials.repeat(7)
    return engine


def add(engine: Engine, trials: Trials, number: int, outcome: Outcome) -> None:
    """Store a trial of a design whose description is its id."""
    design, spec = IDS[number], SPACE.baseline.spec_json()
    row = DesignRow(id=design, model="small_cnn", model_args={}, spec=spec, description=design)
    MeasurementStore(engine, this_device()).add_once(row)
    trials.start(number, design)
    trials.end(number, design, outcome)


def outcomes_of(engine: Engine) -> Outcomes:
    with Session(engine) as session:
        return load_outcomes(session, find_study(engine, "s"))


def test_candidates_are_counted_without_the_baseline(engine: Engine) -> None:
    outcomes = outcomes_of(engine)
    assert outcomes.counts == {
        TrialState.COMPLETE: 3,
        TrialState.REJECTED: 1,
        TrialState.FAILED: 3,
        TrialState.REPEATED: 1,
    }
    assert (outcomes.complete, outcomes.rejected, outcomes.failed, outcomes.violating) == (
        2,
        1,
        3,
        2,
    )
    assert outcomes.failures == (
        Reason(text="TypeError: 3 x 3", trials=(1, 4)),
        Reason(text="out of memory", trials=(3,)),
    )
    assert outcomes.violations == (
        Reason(text="flops", trials=(2, 5)),
        Reason(text="params", trials=(5,)),
    )
    assert (outcomes.baseline_failure, outcomes.damaged) == ("", 0)


def test_the_failure_of_a_baseline_is_reported_until_it_is_measured(storage: str) -> None:
    engine = open_database(storage, create=True)
    measurements = MeasurementStore(engine, this_device())
    create_or_resume("s", make_plan(SPACE, measurements), measurements, seed=0, engine=engine)
    for number, reason in enumerate(("first", "second")):
        trials = Trials(engine, "s")
        trials.start(number, SPACE.baseline.id)
        trials.end(number, SPACE.baseline.id, Outcome(state=TrialState.FAILED, reason=reason))
    outcomes = outcomes_of(engine)
    assert (outcomes.baseline_failure, outcomes.failed, outcomes.candidates) == ("second", 0, 0)
    empty = front("s", storage=storage)
    assert empty.empty_reason == ("No design is completed, because the baseline failed: second")
    (study,) = load_failed(engine, "s")
    assert [trial.reason for trial in study.trials] == ["first", "second"]
    trials.start(2, SPACE.baseline.id)
    trials.end(2, SPACE.baseline.id, Outcome(state=TrialState.COMPLETE))
    assert outcomes_of(engine).baseline_failure == ""


def test_a_trial_that_is_evaluated_again_has_no_old_details(storage: str, engine: Engine) -> None:
    again = Trials(engine, "s")
    again.replace(1, IDS[1], Outcome(state=TrialState.COMPLETE))
    again.replace(2, IDS[2], Outcome(state=TrialState.FAILED, reason="now", traceback="new"))
    again.lose(5)
    details = {row.number: row for row in rows(storage, TrialDetailRow)}
    assert sorted(details) == [0, 2, 3, 4]
    assert (details[2].traceback, details[2].violations) == ("new", {})
    assert outcomes_of(engine).failures[0].text == "now"


def damage(storage: str, statement: str) -> None:
    with sqlite3.connect(storage.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)


def test_damaged_rows_are_counted_and_excluded(storage: str, engine: Engine) -> None:
    damage(storage, "UPDATE dsx_trials SET state = 'nonsense' WHERE number = 3")
    damage(storage, "UPDATE dsx_trial_details SET violations = '{\"flops\": 0}' WHERE number = 5")
    outcomes = outcomes_of(engine)
    assert (outcomes.damaged, outcomes.failed) == (1, 2)
    assert outcomes.violations == (Reason(text="flops", trials=(2,)),)


def test_a_study_with_unreadable_slots_has_no_slot_names(storage: str, engine: Engine) -> None:
    with Session(engine) as session:
        assert "stages.0.conv1" in slot_names(session, find_study(engine, "s"))
    damage(storage, "UPDATE dsx_designs SET spec = '[]'")
    with Session(engine) as session:
        assert slot_names(session, find_study(engine, "s")) == ()


def test_a_study_that_is_created_again_has_no_old_details(storage: str, tmp_path: Path) -> None:
    engine = open_database(storage, create=True)
    measurements = MeasurementStore(engine, this_device())
    create_or_resume("s", make_plan(SPACE, measurements), measurements, seed=0, engine=engine)
    add(
        engine,
        Trials(engine, "s"),
        0,
        Outcome(state=TrialState.FAILED, reason="why", traceback="old"),
    )
    other = load_space(varied(STATIC, tmp_path, "<= 50%", "<= 90%"))
    create_or_resume("s", make_plan(other, measurements), measurements, seed=0, engine=engine)
    assert rows(storage, TrialDetailRow) == []
