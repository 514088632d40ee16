"""Screening in real searches: which designs are timed, and what is shown of the others."""

import csv
import io
import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from dsx import search
from dsx.activity import Kind
from dsx.analysis import CHECKED, NOT_TIMED, STOPPED, Front, Membership, TrialState, exact
from dsx.conv import ConvSpec
from dsx.errors import DsxError
from dsx.measure import this_device
from dsx.report.front.roles import Role, role, status
from dsx.report.front.rows import as_csv, as_json
from dsx.report.front.summary import left_out_notes
from dsx.search.plan import make_plan
from dsx.search.run import run
from dsx.search.run.timings import TOGETHER
from dsx.search.screening import screening
from dsx.search.screening.screening import can_screen, timed_later
from dsx.space import load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies import Outcome
from dsx.store.studies.read import front
from dsx.train import losses_in
from tests.search.again import readings
from tests.search.looking import Following, rows, states, trials, weight_files
from tests.search.spaces import LEARNED, ONE, QUICK, SEVERAL, STATIC, TINY, varied


def told(storage: str, study: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=study, storage=storage).trials


@pytest.fixture
def nothing_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no design be worth a timing."""
    monkeypatch.setattr(run, "LIKELY", 2.0)


@pytest.mark.usefixtures("nothing_likely")
def test_designs_that_are_not_timed_keep_their_other_values(storage: str) -> None:
    found = search(SEVERAL, trials=5, storage=storage)
    # One of four designs is timed at the end, as a check.
    counts = states(storage, "several")
    assert (counts[TrialState.COMPLETE], counts[TrialState.SCREENED]) == (2, 3)
    left_out = [entry for entry in found.entries if entry.missing]
    assert len(found.entries) == 5 and len(left_out) == 3
    for entry in left_out:
        assert entry.missing == {"latency_ms": NOT_TIMED}
        assert {"accuracy", "bits"} <= entry.metrics.keys()
        assert "latency_ms" not in entry.metrics
        assert found.membership[entry.id] == Membership.NO
        assert role(found, entry) == Role.LEFT_OUT
        assert status(found, entry) == NOT_TIMED
    assert not {entry.id for entry in left_out} & found.front_ids
    numbers = {row.number: row for row in trials(storage, "several")}
    pruned = [trial for trial in told(storage, "several") if trial.state == OptunaState.PRUNED]
    # The design of the check was reported as pruned before.
    assert len(pruned) == 4
    assert all(numbers[trial.number].state != TrialState.RUNNING for trial in pruned)


@pytest.mark.usefixtures("nothing_likely")
def test_tables_have_the_reason(storage: str) -> None:
    found = search(SEVERAL, trials=4, storage=storage)
    read = json.loads(as_json(found))
    missing = [each for each in read["designs"] if each["missing"]]
    assert [each["missing"] for each in missing] == [{"latency_ms": NOT_TIMED}] * 2
    assert read["trials"]["screened"] == 2
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    empty = [line for line in lines if not line["latency_ms"]]
    assert [line["missing"] for line in empty] == [f"latency_ms: {NOT_TIMED}"] * 2
    assert [line["missing"] for line in lines if line["latency_ms"]] == ["", ""]


@pytest.mark.usefixtures("nothing_likely")
def test_the_check_at_the_end_is_reported(storage: str) -> None:
    found = search(SEVERAL, trials=4, storage=storage)
    (checked,) = [row for row in trials(storage, "several") if row.reason == CHECKED]
    assert found.outcomes.checked == (checked.number,)
    (note,) = left_out_notes(found)
    on_front = any(entry.trial == checked.number for entry in found.on_front)
    ends = "1 of these is on the front" if on_front else "0 of these are on the front"
    assert note == (
        "2 designs were not measured completely, because the models expect others to dominate "
        f"them; 1 more was measured at the end as a check: {ends}"
    )


def test_screened_designs_that_become_likely_are_timed_at_the_end(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LIKELY", 2.0)
    follow = Following(lambda progress: progress.complete == 4)
    with pytest.raises(KeyboardInterrupt):
        search(SEVERAL, trials=6, storage=storage, report=follow)
    assert states(storage, "several")[TrialState.SCREENED] == 3
    monkeypatch.setattr(run, "LIKELY", 0.0)
    found = search(SEVERAL, trials=6, storage=storage)
    assert states(storage, "several")[TrialState.SCREENED] == 0
    assert states(storage, "several")[TrialState.COMPLETE] == 6
    assert all(not entry.missing for entry in found.entries)
    assert found.outcomes.checked == ()
    assert left_out_notes(found) == []
    # No design is trained twice.
    assert set(readings(storage, "accuracy").values()) == {1}


def test_likely_designs_are_timed_together(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LIKELY", 0.0)
    follow = Following()
    search(SEVERAL, trials=6, storage=storage, report=follow)
    timings = [each.event.designs for each in follow.told if each.event.kind == Kind.TIMING]
    # The baseline alone, a full group, and the last design.
    assert timings[:3] == [None, TOGETHER, 1] or timings[:3] == [1, TOGETHER, 1]
    assert states(storage, "several")[TrialState.COMPLETE] == 6


def test_designs_that_wait_for_a_timing_survive_an_interruption(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LIKELY", 0.0)
    follow = Following(
        lambda told: told.event.kind == Kind.TIMING and told.event.designs == TOGETHER
    )
    with pytest.raises(KeyboardInterrupt):
        search(SEVERAL, trials=5, storage=storage, report=follow)
    before = readings(storage, "accuracy")
    assert len(before) == 5
    assert states(storage, "several")[TrialState.INTERRUPTED] == 4
    found = search(SEVERAL, trials=5, storage=storage)
    assert readings(storage, "accuracy") == before
    assert {entry.id for entry in found.entries} == before.keys()
    on_front = found.front_ids | {found.baseline}
    assert on_front <= weight_files(storage, "several").keys()


def test_a_constraint_on_latency_is_checked_before_the_training(
    storage: str, tmp_path: Path
) -> None:
    text = "objectives: {accuracy: maximize, latency_ms: minimize, bits: minimize}"
    space = varied(SEVERAL, tmp_path, text, f'{text}\nconstraints: {{latency_ms: "<= 1%"}}')
    search(space, trials=2, storage=storage, timeout=6)
    counts = states(storage, "several")
    assert counts[TrialState.COMPLETE] == 1 and counts[TrialState.REJECTED] > 0
    assert len(readings(storage, "accuracy")) == 1


@pytest.mark.parametrize("space", [STATIC, TINY, QUICK, ONE, LEARNED])
def test_every_kind_of_space_is_searched(storage: str, space: Path) -> None:
    found = search(space, trials=3, storage=storage, sampler="screening")
    assert len(found.entries) == 3


def test_a_search_without_models_uses_optuna(storage: str) -> None:
    found = search(STATIC, trials=3, storage=storage, sampler="nsga2")
    assert len(found.entries) == 3
    with pytest.raises(DsxError, match=r"sampler.*'nsga3'.*nsga2"):
        search(STATIC, trials=3, storage=storage, sampler="nsga3")


def test_what_is_known_in_advance(storage: str, tmp_path: Path) -> None:
    engine = open_database(storage, create=True)
    measurements = MeasurementStore(engine, this_device())
    only = varied(
        SEVERAL,
        tmp_path,
        "objectives: {accuracy: maximize, latency_ms: minimize, bits: minimize}",
        "objectives: {accuracy: maximize}",
    )
    plans = {
        name: make_plan(load_space(file), measurements)
        for name, file in (("several", SEVERAL), ("static", STATIC), ("only", only))
    }
    assert {name: can_screen(plan) for name, plan in plans.items()} == {
        "several": True, "static": True, "only": False,
    }  # fmt: skip
    assert {name: timed_later(plan) for name, plan in plans.items()} == {
        "several": {"latency_ms"}, "static": frozenset(), "only": frozenset(),
    }  # fmt: skip


def test_a_loaded_front_is_that_of_the_search(storage: str) -> None:
    found: Front = search(SEVERAL, trials=4, storage=storage)
    assert front("several", storage=storage) == found
    assert rows(storage, type(trials(storage, "several")[0]))


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let each training of two epochs stop after the first one; return the space."""
    monkeypatch.setattr(screening, "FEWEST", 1)
    monkeypatch.setattr(screening, "LIKELY", 2.0)
    return varied(SEVERAL, tmp_path, "epochs: 1", "epochs: 2")


def test_a_stopped_training_keeps_its_checkpoint(storage: str, stopping: Path) -> None:
    found = search(stopping, trials=4, storage=storage)
    counts = states(storage, "several")
    # The first design follows the baseline alone, which is too little for a decision.
    assert (counts[TrialState.COMPLETE], counts[TrialState.STOPPED]) == (2, 2)
    stopped = [entry for entry in found.entries if entry.missing]
    assert [entry.missing for entry in stopped] == [
        {"accuracy": STOPPED, "latency_ms": STOPPED}
    ] * 2
    files = weight_files(storage, "several")
    for entry in stopped:
        assert files[entry.id].suffix == ".training"
        assert losses_in(files[entry.id]) is not None
    pruned = [trial for trial in told(storage, "several") if trial.state == OptunaState.PRUNED]
    assert {trial.number for trial in pruned} == {entry.trial for entry in stopped}


def test_a_stopped_design_that_is_asked_again_continues(
    storage: str, stopping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(stopping, trials=4, storage=storage)
    stopped = [row for row in trials(storage, "several") if row.state == TrialState.STOPPED]
    design = load_space(stopping).design(
        {
            name: ConvSpec.from_json(dials)
            for name, dials in next(
                entry for entry in front("several", storage=storage).entries if entry.missing
            ).spec.items()
        }
    )
    assert design.id in {row.design for row in stopped}
    monkeypatch.setattr(screening.Screening, "next", lambda *given: design)
    found = search(stopping, trials=5, storage=storage, timeout=30)
    again = [row for row in trials(storage, "several") if row.design == design.id]
    assert [row.state for row in again[:2]] == [TrialState.STOPPED, TrialState.COMPLETE]
    # One entry for each design, and the training was continued, not repeated.
    (entry,) = [entry for entry in found.entries if entry.id == design.id]
    assert (entry.missing, entry.trial) == ({}, again[1].number)
    (reading,) = [
        row
        for row in rows(storage, MeasurementRow)
        if (row.design, row.metric) == (design.id, "accuracy")
    ]
    predictions = reading.provenance.predictions
    assert predictions is not None and len(predictions.losses or ()) == 2


def test_a_resumed_search_knows_the_losses_of_stopped_trainings(
    storage: str, stopping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(stopping, trials=4, storage=storage)
    known: list[object] = []
    add = screening.Screening.add

    def noted(
        self: screening.Screening, design: object, outcome: object, losses: object = ()
    ) -> None:
        known.append(losses)
        add(self, design, outcome, losses)  # type: ignore[arg-type]

    monkeypatch.setattr(screening.Screening, "add", noted)
    search(stopping, trials=4, storage=storage)
    assert sum(bool(losses) for losses in known) == 2


def test_a_failed_design_is_neither_proposed_again_nor_on_the_front(storage: str) -> None:
    engine = open_database(storage, create=True)
    plan = make_plan(load_space(STATIC), MeasurementStore(engine, this_device()))
    found = screening.Screening(plan, seed=0)
    baseline = plan.space.baseline
    costs = plan.expected(plan.space.cost(baseline))
    found.set_reference(costs)
    found.add(
        baseline,
        Outcome(
            state=TrialState.COMPLETE,
            readings={name: exact(value) for name, value in costs.items()},
        ),
    )
    proposed = []
    for number in range(1, 7):
        design = found.next(number)
        assert design is not None and design.id not in proposed
        proposed.append(design.id)
        found.add(design, Outcome(state=TrialState.FAILED))
    new = found.next(8)
    assert new is not None and new.id not in proposed
    assert found.probabilities([new], 9) == [1.0]
