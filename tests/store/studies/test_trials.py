"""The trials of a study, as stored by one process and loaded by the next."""

import pytest
from sqlalchemy import Engine

from dsx.analysis import TrialState
from dsx.measure import this_device
from dsx.search.plan import make_plan
from dsx.search.resume import create_or_resume
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.trials import Outcome, Trials
from tests.search.looking import trials
from tests.search.spaces import STATIC


@pytest.fixture
def engine(storage: str) -> Engine:
    """A database with the study `s`, whose baseline is the only design."""
    engine = open_database(storage, create=True)
    measurements = MeasurementStore(engine, this_device())
    create_or_resume(
        "s",
        make_plan(load_space(STATIC), measurements),
        measurements,
        seed=0,
        engine=measurements.engine,
    )
    return engine


@pytest.fixture
def baseline() -> str:
    return load_space(STATIC).baseline.id


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.REJECTED, TrialState.FAILED])
def test_an_outcome_is_known_to_the_next_process(
    storage: str, engine: Engine, baseline: str, state: TrialState
) -> None:
    stored = Trials(engine, "s")
    stored.start(0, baseline)
    assert trials(storage, "s")[0].state == TrialState.RUNNING
    stored.end(0, baseline, Outcome(state=state, reason="why"))
    (row,) = trials(storage, "s")
    assert (row.state, row.reason, row.ended_at is not None) == (state, "why", True)
    for found in (stored, Trials(engine, "s")):
        assert found.seen == {baseline}
        assert found.counts == {state: 1}
    assert Trials(engine, "s").complete == ({baseline} if state == TrialState.COMPLETE else set())


def test_an_interrupted_design_is_sampled_again(
    storage: str, engine: Engine, baseline: str
) -> None:
    Trials(engine, "s").start(0, baseline)
    later = Trials(engine, "s")
    assert later.seen == set()
    later.interrupt()
    assert [row.state for row in trials(storage, "s")] == [TrialState.INTERRUPTED]
    assert +later.counts == {TrialState.INTERRUPTED: 1}
    assert Trials(engine, "s").seen == set()


def test_interrupting_does_not_change_ended_trials(
    storage: str, engine: Engine, baseline: str
) -> None:
    stored = Trials(engine, "s")
    stored.start(0, baseline)
    stored.end(0, baseline, Outcome(state=TrialState.COMPLETE))
    stored.start(1, baseline)
    stored.repeat(1)
    stored.interrupt()
    assert [row.state for row in trials(storage, "s")] == [TrialState.COMPLETE, TrialState.REPEATED]
    assert stored.total == 2


def test_only_complete_designs_within_all_constraints_are_feasible(
    storage: str, engine: Engine, baseline: str
) -> None:
    outcomes = [
        Outcome(state=TrialState.COMPLETE, violations={"flops": 0.0, "bits": -1.0}),
        Outcome(state=TrialState.COMPLETE, violations={"flops": 1.0, "bits": -1.0}),
        Outcome(state=TrialState.REJECTED, violations={"flops": -1.0}),
    ]
    stored = Trials(engine, "s")
    for number, outcome in enumerate(outcomes):
        stored.start(number, baseline)
        stored.end(number, baseline, outcome)
    assert [row.feasible for row in trials(storage, "s")] == [True, False, False]


def test_designs_count_once_and_only_while_they_are_measured(engine: Engine, baseline: str) -> None:
    stored = Trials(engine, "s")
    stored.start(0, baseline)
    stored.end(0, baseline, Outcome(state=TrialState.STOPPED))
    assert (stored.measured, stored.seen) == (1, set())
    stored.start(1, baseline)
    stored.end(1, baseline, Outcome(state=TrialState.SCREENED))
    assert stored.measured == Trials(engine, "s").measured == 1
    stored.replace(1, baseline, Outcome(state=TrialState.FAILED))
    stored.replace(0, baseline, Outcome(state=TrialState.FAILED))
    assert stored.measured == Trials(engine, "s").measured == 0
