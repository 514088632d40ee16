"""The search loop."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from dsx import search
from dsx.activity import End, Event, Kind
from dsx.analysis import TrialState
from dsx.errors import DsxError
from dsx.measure.machine import load as busy
from dsx.search.loop import FinalTiming, Progress
from dsx.search.run import run, timings
from dsx.space import load_space
from dsx.store.database.schema import MeasurementRow, StudyRow
from dsx.store.studies.read import front
from tests.search.again import change, leave_open, let_machine_be, readings
from tests.search.looking import Following, measured, rows, states, trials
from tests.search.spaces import QUICK, STATIC, THREE, TINY, varied
from tests.space.space_files import space, with_rules

CHECKING = Event(kind=Kind.CHECKING_NOISE)
FINISHED = Event(kind=Kind.ENDED, end=End.FINISHED)
# The designs of `search(STATIC, trials=8)`: trial, design, params, flops.
GOLDEN = [
    (0, "3bc1ea8966e7", 4_934, 48_544),
    (1, "da55a2e7119a", 1_038, 12_608),
    (2, "224adf2a1990", 3_358, 20_192),
    (3, "609ef73a32d6", 1_398, 23_552),
    (4, "2d078dd8252b", 582, 5_024),
    (5, "45ad7e5daa9f", 590, 5_536),
    (6, "5ea665c25dad", 598, 5_280),
    (7, "5aa51a6c1c85", 1_102, 12_800),
]


def test_the_same_seed_gives_the_same_designs_and_numbers(storage: str) -> None:
    found = search(STATIC, trials=8, storage=storage)
    numbers = [
        (
            entry.trial,
            entry.id,
            int(entry.metrics["params"].value),
            int(entry.metrics["flops"].value),
        )
        for entry in found.entries
    ]
    assert numbers == GOLDEN


def test_another_seed_gives_other_designs(storage: str) -> None:
    found = search(STATIC, trials=4, seed=1, storage=storage)
    assert {entry.id for entry in found.entries[1:]}.isdisjoint(row[1] for row in GOLDEN)


def test_an_interrupted_search_is_completed(storage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(STATIC, trials=8, storage=storage, report=Following(lambda p: p.complete == 4))
    found = search(STATIC, trials=8, storage=storage)
    assert [entry.id for entry in found.entries[:4]] == [row[1] for row in GOLDEN[:4]]
    assert len(found.entries) == 8
    assert found == front("static", storage=storage)


def test_the_baseline_comes_first_and_gives_the_reference(storage: str) -> None:
    found = search(TINY, trials=2, storage=storage)
    first = trials(storage, "tiny")[0]
    assert (first.number, first.design, first.state) == (0, found.baseline, TrialState.COMPLETE)
    assert found.baseline_entry is not None
    standing = {name: value.value for name, value in found.baseline_entry.metrics.items()}
    assert found.reference == {
        "accuracy": pytest.approx(0.9 * standing["accuracy"]),
        "params": pytest.approx(1.1 * standing["params"]),
    }


def test_a_baseline_that_violates_a_constraint_is_measured_but_not_on_the_front(
    storage: str,
) -> None:
    found = search(STATIC, trials=1, storage=storage)
    assert [(entry.id, entry.feasible) for entry in found.entries] == [(found.baseline, False)]
    assert not found.on_front


def test_trials_counts_completed_designs(storage: str) -> None:
    follow = Following()
    search(STATIC, trials=8, storage=storage, report=follow, sampler="random")
    counts = states(storage, "static")
    assert (counts[TrialState.COMPLETE], counts[TrialState.REJECTED]) == (8, 2)
    assert follow.last == End.FINISHED
    assert Counter(follow.told[-1].counts) == counts


def test_it_stops_if_few_designs_meet_the_constraints(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MAX_SAMPLES_PER_TRIAL", 4)
    least, _ = load_space(STATIC).cost_range()
    space = varied(STATIC, tmp_path, "<= 50%", f"<= {least.flops}")
    follow = Following()
    search(space, trials=2, storage=storage, report=follow)
    assert states(storage, "static").total() == 2 * 4
    assert follow.last == End.SAMPLE_LIMIT
    assert states(storage, "static")[TrialState.COMPLETE] == 1


def test_it_stops_when_the_space_is_exhausted(storage: str) -> None:
    follow = Following()
    found = search(THREE, trials=9, storage=storage, report=follow)
    assert len(found.entries) == 3
    assert follow.last == End.EXHAUSTED
    again = Following()
    search(THREE, trials=9, storage=storage, report=again)
    assert again.last == follow.last


def test_equal_designs_are_measured_once_in_a_study(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_machine_be(True, monkeypatch)
    search(QUICK, trials=3, storage=storage, sampler="tpe", seed=1)
    assert states(storage, "quick")[TrialState.REPEATED] > 0
    assert set(measured(storage).values()) == {1}


def test_equal_designs_are_measured_once_in_a_database(storage: str) -> None:
    first = search(TINY, trials=4, storage=storage)
    before = measured(storage)
    second = search(TINY, trials=4, study="again", storage=storage)
    assert measured(storage) == before
    assert [e.metrics for e in second.entries] == [e.metrics for e in first.entries]


def test_only_metrics_with_another_protocol_are_measured_again(
    storage: str, tmp_path: Path
) -> None:
    first = search(TINY, trials=2, storage=storage)
    before = {row.id for row in rows(storage, MeasurementRow)}
    slower = varied(TINY, tmp_path, "learning_rate: 0.2", "learning_rate: 0.1")
    second = search(slower, trials=2, study="slower", storage=storage)
    new = [row for row in rows(storage, MeasurementRow) if row.id not in before]
    assert [(row.design, row.metric) for row in new] == [
        (entry.id, "accuracy") for entry in first.entries
    ]
    assert [e.id for e in second.entries] == [e.id for e in first.entries]


def test_more_trials_continue_a_study(storage: str) -> None:
    search(STATIC, trials=3, storage=storage)
    before = [row.design for row in trials(storage, "static")]
    found = search(STATIC, trials=5, storage=storage)
    after = trials(storage, "static")
    assert [row.design for row in after[: len(before)]] == before
    assert len(found.entries) == 5
    assert len({row.design for row in after}) == len(after)


def test_a_finished_study_is_shown_immediately(storage: str) -> None:
    found = search(STATIC, trials=3, storage=storage)
    drawn = len(trials(storage, "static"))
    follow = Following()
    assert search(STATIC, trials=2, storage=storage, report=follow) == found
    assert len(trials(storage, "static")) == drawn
    assert [progress.event for progress in follow.told] == [FINISHED]


@pytest.fixture
def rough(storage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The study `quick`, whose designs are all possible and have noisy latencies."""
    let_machine_be(True, monkeypatch)
    search(QUICK, trials=3, storage=storage)
    monkeypatch.undo()

    def mark(row: MeasurementRow) -> None:
        leave_open(row)
        row.provenance = dataclasses.replace(row.provenance, noisy=row.metric == "latency_ms")

    change(storage, mark)
    return storage


def test_noisy_timings_are_repeated_at_the_end(rough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    let_machine_be(False, monkeypatch)
    follow = Following()
    found = search(QUICK, trials=3, storage=rough, report=follow)
    waiting = Kind.WAITING_FOR_DEVICE
    told = [progress for progress in follow.told if progress.event.kind != waiting]
    timing = Event(kind=Kind.TIMING, designs=3, fraction=0.0)
    assert [progress.event for progress in told] == [CHECKING, timing, FINISHED]
    assert [progress.flagged for progress in told] == [3, 3, 0]
    assert set(readings(rough).values()) == {2}
    values = [entry.metrics["latency_ms"] for entry in found.entries]
    assert {(value.noisy, value.readings) for value in values} == {(False, 1)}
    # No timings remain to be repeated.
    search(QUICK, trials=3, storage=rough)
    assert set(readings(rough).values()) == {2}


def test_on_a_loaded_machine_flagged_timings_are_only_reported(
    rough: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_machine_be(True, monkeypatch)
    follow = Following()
    search(QUICK, trials=3, storage=rough, report=follow)
    assert [(progress.event, progress.flagged) for progress in follow.told] == [
        (CHECKING, 3), (FINISHED, 3)
    ]  # fmt: skip
    assert set(readings(rough).values()) == {1}


def test_flagged_timings_are_repeated_once(rough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine appears idle, but the timings are noisy.
    let_machine_be(True, monkeypatch)
    told = busy.load_since
    monkeypatch.setattr(timings, "load_since", lambda *looks: told(*looks)._replace(noisy=False))
    follow = Following()
    two = FinalTiming(designs=2, quiet_seconds=0.0)
    search(QUICK, trials=3, storage=rough, report=follow, final_timing=two)
    assert sorted(readings(rough).values()) == [1, 2, 2]
    assert follow.told[-1].flagged == 3


def test_no_trial_starts_after_the_timeout(storage: str) -> None:
    follow = Following()
    found = search(STATIC, trials=3, storage=storage, timeout=0.0, report=follow)
    assert (found.entries, follow.last) == ((), End.TIMEOUT)
    assert len(search(STATIC, trials=3, storage=storage).entries) == 3


def test_an_interrupted_trial_is_resumed(storage: str) -> None:
    def training_the_third(progress: object) -> bool:
        told = follow.told[-1]
        return (told.complete, told.event.kind) == (2, Kind.TRAINING)

    follow = Following(training_the_third)
    with pytest.raises(KeyboardInterrupt):
        search(TINY, trials=4, storage=storage, report=follow)
    left = trials(storage, "tiny")[-1]
    assert left.state == TrialState.INTERRUPTED
    before = measured(storage)
    search(TINY, trials=3, storage=storage)
    after = trials(storage, "tiny")
    assert (after[-1].design, after[-1].state) == (left.design, TrialState.COMPLETE)
    assert [key for key in measured(storage) if key not in before] == [
        (left.design, "accuracy", rows(storage, StudyRow)[0].metrics["accuracy"]["protocol"])
    ]


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden", "a/b"])
def test_names_that_cannot_be_folders_are_rejected(storage: str, name: str) -> None:
    with pytest.raises(DsxError, match=rf"^invalid study name '{name}' \(allowed: up to 100 lett"):
        search(load_space(STATIC), study=name, trials=1, storage=storage)


def test_zero_trials_are_rejected(storage: str) -> None:
    with pytest.raises(DsxError, match=r"trials: 0 \(allowed: 1 to "):
        search(STATIC, trials=0, storage=storage)


def test_deployed_counts_can_be_objectives_and_constraints(storage: str, tmp_path: Path) -> None:
    """With dense forms, no design meets a constraint that every design seems to meet."""
    objectives = "objectives: {params: minimize, flops: minimize}\n"
    old = f'{objectives}constraints: {{flops: "<= 50%"}}'
    new = (
        "objectives: {params: minimize, deployed_flops: minimize}\n"
        'constraints: {deployed_params: "<= 80%"}'
    )
    found = search(varied(STATIC, tmp_path, old, new), trials=4, storage=storage)
    baseline = found.baseline_entry
    assert baseline is not None
    limit = 0.8 * baseline.metrics["deployed_params"].value
    assert len(found.entries) == 4
    for entry in found.entries:
        assert entry.metrics["deployed_flops"].exact
        counts = {name: entry.metrics[f"deployed_{name}"].value for name in ("params", "flops")}
        assert counts == entry.deployed_counts
        assert entry.feasible == (counts["params"] <= limit)


def test_operators_that_are_not_counted_are_named_before_the_first_trial(storage: str) -> None:
    text = with_rules("{match: '*', groups: [1, 2]}", model="tests.space.networks:Strange")
    told: list[Progress] = []
    search(space(text.replace("{width: 8}", "{}")), trials=1, storage=storage, report=told.append)
    (note,) = next(
        progress.notes for progress in told if not progress.counts.get(TrialState.COMPLETE)
    )
    assert note.startswith("flops do not include the unknown operators aten::")
