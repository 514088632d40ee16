"""One design through its metrics: cheap before dear, and what goes wrong on the way."""

from pathlib import Path

import pytest

from dsx import search
from dsx.errors import WorkFailed
from dsx.study.tables import COMPLETE, FAILED, REJECTED, MeasurementRow
from tests.study.looking import Following, measured, rows, states, trials
from tests.study.spaces import TIMED, TINY, varied

FRAGILE = "model: tests.study.models:Fragile\nmodel_args: {error: %s, always: %s}"


def metrics_of(storage: str, design: str | None) -> set[str]:
    return {metric for found, metric, _ in measured(storage) if found == design}


def test_a_design_that_breaks_a_counted_constraint_is_neither_timed_nor_trained(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, latency_ms: minimize}"
    bounded = f'{objectives}\nconstraints: {{params: "<= 60%"}}'
    space = varied(TIMED, tmp_path, objectives, bounded)
    search(space, trials=2, storage=storage)
    ends = trials(storage, "timed")
    rejected = [row for row in ends if row.state == REJECTED]
    assert rejected
    for row in rejected:
        assert metrics_of(storage, row.design) == {"params", "flops", "bits"}
        assert (row.reason, row.feasible) == ("breaks the constraint on params", False)
    for row in ends:
        if row.state == COMPLETE:
            assert {"accuracy", "latency_ms"} < metrics_of(storage, row.design)


def test_a_design_that_breaks_a_timed_constraint_is_not_trained(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, latency_ms: minimize}"
    bounded = f'{objectives}\nconstraints: {{latency_ms: "<= 0.0001"}}'
    space = varied(TIMED, tmp_path, objectives, bounded)
    follow = Following(lambda told: told.counts.get(REJECTED, 0) == 1)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=2, storage=storage, report=follow)
    baseline, *others = trials(storage, "timed")
    assert (baseline.state, baseline.feasible) == (COMPLETE, False)
    rejected = next(row for row in others if row.state == REJECTED)
    assert metrics_of(storage, rejected.design) == {"params", "flops", "bits", "latency_ms"}


def test_a_design_that_breaks_a_trained_constraint_is_complete_but_infeasible(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, params: minimize}"
    bounded = f'{objectives}\nconstraints: {{accuracy: ">= 0.999"}}'
    found = search(varied(TINY, tmp_path, objectives, bounded), trials=2, storage=storage)
    assert [entry.feasible for entry in found.entries] == [False, False]
    assert not found.on_front
    assert states(storage, "tiny")[REJECTED] == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("nan", "training diverged: the loss is nan in epoch 1"),
        ("RuntimeError", "out of memory: no 2 GiB left"),
        ("MemoryError", "MemoryError: out of memory: no 2 GiB left"),
        ("KeyError", "KeyError: 'out of memory:\\nno 2 GiB left'"),
    ],
)
def test_a_failing_design_is_stored_with_its_reason_and_the_study_goes_on(
    storage: str, tmp_path: Path, error: str, reason: str
) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % (error, "false"))
    follow = Following(lambda told: told.counts.get(FAILED, 0) == 2)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=3, storage=storage, report=follow)
    failed = [row for row in trials(storage, "tiny") if row.state == FAILED]
    assert [row.reason for row in failed] == [reason, reason]
    assert states(storage, "tiny")[COMPLETE] == 1
    for row in failed:
        assert metrics_of(storage, row.design) == {"params", "flops", "bits"}


@pytest.mark.parametrize("error", ["nan", "KeyError"])
def test_a_baseline_that_fails_ends_the_study_and_is_tried_again(
    storage: str, tmp_path: Path, error: str
) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % (error, "true"))
    for attempt in (1, 2):
        with pytest.raises(WorkFailed, match=r"^the baseline cannot be measured: [^\n]+$"):
            search(space, trials=3, storage=storage)
        assert [row.state for row in trials(storage, "tiny")] == attempt * [FAILED]


def test_a_baseline_that_failed_once_can_still_be_measured(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "params: minimize", "'tests.study.metrics:late': minimize")
    with pytest.raises(WorkFailed, match=r"the baseline cannot be measured: .* is nan$"):
        search(space, trials=1, storage=storage)
    found = search(space, trials=1, storage=storage)
    assert found.baseline_entry is not None
    assert states(storage, "tiny") == {FAILED: 1, COMPLETE: 1}


@pytest.mark.parametrize("end", ["value", "low", "high"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_what_is_no_number_is_not_stored(
    storage: str, tmp_path: Path, end: str, number: str
) -> None:
    metric = f"tests.study.metrics:{end}_{number}"
    space = varied(TINY, tmp_path, "params: minimize", f"'{metric}': minimize")
    with pytest.raises(WorkFailed, match=f"the baseline cannot be measured: .* is {number}$"):
        search(space, trials=1, storage=storage)
    assert {row.metric for row in rows(storage, MeasurementRow)} == {"params", "flops", "bits"}


def test_memory_that_runs_out_is_said(storage: str, tmp_path: Path) -> None:
    batch = "objectives: {accuracy: maximize, latency_ms"
    space = varied(TIMED, tmp_path, batch, f"measure: {{batch: 1_000_000_000_000}}\n{batch}")
    with pytest.raises(WorkFailed, match=r"^the baseline cannot be measured: [^\n]*memory"):
        search(space, trials=1, storage=storage)
