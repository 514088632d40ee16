"""Evaluation of a design: the order of the metrics, and failures."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import delete
from sqlalchemy.orm import Session

from dsx import search
from dsx.activity import ignore_status
from dsx.analysis import TrialState
from dsx.analysis.measurement import exact
from dsx.conv import ConvSpec
from dsx.errors import DsxError, SpaceError, WorkFailed
from dsx.measure import Candidate
from dsx.search.evaluator import Evaluator
from dsx.search.failures import LONGEST_TRACEBACK
from dsx.space import SearchSpace, load_space, redesign
from dsx.store.database.schema import MeasurementRow, TrialDetailRow
from tests.search.looking import Following, measured, rows, states, trials, weight_files
from tests.search.opening import created
from tests.search.spaces import LEARNED, TIMED, TINY, varied
from tests.space.space_files import space as build
from tests.space.space_files import with_rules

FRAGILE = "model: tests.search.models:Fragile\nmodel_args: {error: %s, always: %s}"


def metrics_of(storage: str, design: str | None) -> set[str]:
    return {metric for found, metric, _ in measured(storage) if found == design}


def test_a_design_that_violates_a_counted_constraint_is_neither_timed_nor_trained(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, latency_ms: minimize}"
    bounded = f'{objectives}\nconstraints: {{params: "<= 60%"}}'
    space = varied(TIMED, tmp_path, objectives, bounded)
    search(space, trials=2, storage=storage, sampler="random")
    ends = trials(storage, "timed")
    rejected = [row for row in ends if row.state == TrialState.REJECTED]
    assert rejected
    for row in rejected:
        assert metrics_of(storage, row.design) == {"params", "flops", "bits"}
        assert (row.reason, row.feasible) == ("violates the constraint on params", False)
    for row in ends:
        if row.state == TrialState.COMPLETE:
            assert {"accuracy", "latency_ms"} < metrics_of(storage, row.design)
    details = {row.number: row.violations for row in rows(storage, TrialDetailRow)}
    for row in rejected:
        assert details[row.number].keys() == {"params"}
        assert details[row.number]["params"] > 0


def test_a_design_that_violates_a_timed_constraint_is_not_trained(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, latency_ms: minimize}"
    bounded = f'{objectives}\nconstraints: {{latency_ms: "<= 0.0001"}}'
    space = varied(TIMED, tmp_path, objectives, bounded)
    follow = Following(lambda told: told.counts.get(TrialState.REJECTED, 0) == 1)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=2, storage=storage, report=follow)
    baseline, *others = trials(storage, "timed")
    assert (baseline.state, baseline.feasible) == (TrialState.COMPLETE, False)
    rejected = next(row for row in others if row.state == TrialState.REJECTED)
    assert metrics_of(storage, rejected.design) == {"params", "flops", "bits", "latency_ms"}


def test_a_design_that_violates_a_trained_constraint_is_complete_but_infeasible(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, params: minimize}"
    bounded = f'{objectives}\nconstraints: {{accuracy: ">= 0.999"}}'
    found = search(varied(TINY, tmp_path, objectives, bounded), trials=2, storage=storage)
    assert [entry.feasible for entry in found.entries] == [False, False]
    assert not found.on_front
    assert states(storage, "tiny")[TrialState.REJECTED] == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("nan", "training diverged: the loss is nan in epoch 1"),
        ("RuntimeError", "out of memory: no 2 GiB left"),
        ("MemoryError", "out of memory: no 2 GiB left"),
        ("KeyError", "KeyError: 'out of memory:\\nno 2 GiB left'"),
    ],
)
def test_a_failing_design_is_stored_with_its_reason_and_the_study_continues(
    storage: str, tmp_path: Path, error: str, reason: str
) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % (error, "false"))
    follow = Following(lambda told: told.counts.get(TrialState.FAILED, 0) == 2)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=3, storage=storage, report=follow)
    failed = [row for row in trials(storage, "tiny") if row.state == TrialState.FAILED]
    assert [row.reason for row in failed] == [reason, reason]
    assert states(storage, "tiny")[TrialState.COMPLETE] == 1
    for row in failed:
        assert metrics_of(storage, row.design) == {"params", "flops", "bits"}


def test_a_foreign_metric_that_raises_fails_its_trial(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "params: minimize", "'tests.search.metrics:fragile': minimize")
    follow = Following(lambda told: told.counts.get(TrialState.FAILED, 0) == 2)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=3, storage=storage, report=follow)
    failed = [row for row in trials(storage, "tiny") if row.state == TrialState.FAILED]
    assert [row.reason for row in failed] == 2 * ["TypeError: a\\udc80b"]
    details = {row.number: row.traceback for row in rows(storage, TrialDetailRow)}
    assert sorted(details) == [row.number for row in failed]
    for traceback in details.values():
        assert 'tests/search/metrics.py", line ' in traceback
        assert traceback.endswith("TypeError: a\\udc80b\n")


def test_the_end_of_a_very_long_traceback_is_stored(storage: str, tmp_path: Path) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % ("long", "false"))
    follow = Following(lambda told: told.counts.get(TrialState.FAILED, 0) == 1)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=3, storage=storage, report=follow)
    (row,) = rows(storage, TrialDetailRow)
    assert len(row.traceback) == LONGEST_TRACEBACK + 4
    assert row.traceback.startswith("...\n") and row.traceback.endswith("x'\n")


def test_a_baseline_that_raises_in_train_mode_is_refused_before_any_trial(
    storage: str, tmp_path: Path
) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % ("KeyError", "true"))
    problem = "model: the network does not run in train mode: KeyError: 'out of memory:"
    with pytest.raises(SpaceError, match=problem):
        search(space, trials=3, storage=storage)
    assert trials(storage, "tiny") == []


def test_a_baseline_that_fails_ends_the_study_and_is_tried_again(
    storage: str, tmp_path: Path
) -> None:
    model = "model: small_cnn\nmodel_args: {width: 4}"
    space = varied(TINY, tmp_path, model, FRAGILE % ("nan", "true"))
    for attempt in (1, 2):
        with pytest.raises(WorkFailed, match=r"^the baseline cannot be measured: [^\n]+$"):
            search(space, trials=3, storage=storage)
        assert [row.state for row in trials(storage, "tiny")] == attempt * [TrialState.FAILED]


def test_a_baseline_that_failed_once_can_still_be_measured(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "params: minimize", "'tests.search.metrics:late': minimize")
    with pytest.raises(WorkFailed, match=r"the baseline cannot be measured: .* is nan$"):
        search(space, trials=1, storage=storage)
    found = search(space, trials=1, storage=storage)
    assert found.baseline_entry is not None
    assert states(storage, "tiny") == {TrialState.FAILED: 1, TrialState.COMPLETE: 1}


@pytest.mark.parametrize("end", ["value", "low", "high"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_value_that_is_not_a_number_is_not_stored(
    storage: str, tmp_path: Path, end: str, number: str
) -> None:
    metric = f"tests.search.metrics:{end}_{number}"
    space = varied(TINY, tmp_path, "params: minimize", f"'{metric}': minimize")
    with pytest.raises(WorkFailed, match=f"the baseline cannot be measured: .* is {number}$"):
        search(space, trials=1, storage=storage)
    assert {row.metric for row in rows(storage, MeasurementRow)} == {"params", "flops", "bits"}


RIGID = {
    f"stages.{stage}.{conv}": ConvSpec(
        kernel_shape="learned", density=0.25, rigid=True, block_in=4, block_out=2
    )
    for stage in range(3)
    for conv in ("conv1", "conv2")
}


def evaluator_of(space: Path, storage: str) -> Evaluator:
    """Build the evaluator of a study that has evaluated the baseline."""
    plan, study = created(load_space(space), storage)
    evaluator = Evaluator(plan, study, ignore_status)
    study.measurements.add_design(plan.space.design(RIGID), "learned")
    evaluator.evaluate(plan.space.baseline)
    return evaluator


def test_learned_shapes_are_counted_as_they_are_after_training(storage: str) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    space = evaluator.plan.space
    design = space.design(RIGID)
    outcome = evaluator.evaluate(design)
    assert outcome.state == TrialState.COMPLETE
    network = redesign(space.network(), design.changed)
    state = evaluator.weights.load(design.id)
    assert state is not None
    network.load_state_dict(state)
    # Counted from the weights: those outside the shapes are zero after the shapes are frozen.
    parameters = dict(network.named_parameters())
    dead = sum(int((parameters[f"{name}.weight"] == 0).sum()) for name in RIGID)
    scores = sum(parameters[f"{name}.shape_scores"].numel() for name in RIGID)
    alive = sum(p.numel() for p in parameters.values()) - scores - dead
    assert outcome.values["params"] == alive
    assert space.cost(design).expected
    assert space.cost(design).params != alive


def test_a_training_is_not_repeated_for_lost_measurements(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    design = evaluator.plan.space.design(RIGID)
    first = evaluator.evaluate(design)
    with Session(evaluator.study.measurements.engine) as session, session.begin():
        session.execute(delete(MeasurementRow).where(MeasurementRow.metric == "flops"))
    monkeypatch.setattr("dsx.measure.candidate.train", lambda *_: pytest.fail("trained again"))
    assert evaluator.evaluate(design).values == first.values


def lose(evaluator: Evaluator, metric: str) -> None:
    """Delete the newest measurements of a metric."""
    with Session(evaluator.study.measurements.engine) as session, session.begin():
        session.execute(delete(MeasurementRow).where(MeasurementRow.metric == metric))


@pytest.mark.parametrize("spoil", ["gone", "of another network"])
def test_metrics_of_one_design_come_from_one_training(storage: str, spoil: str) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    design = evaluator.plan.space.design(RIGID)
    evaluator.evaluate(design)
    file = weight_files(storage, "s")[design.id]
    if spoil == "gone":
        file.unlink()
    else:
        evaluator.weights.save(design.id, torch.nn.Linear(1, 1))
    lose(evaluator, "flops")
    again = evaluator.evaluate(design)
    assert again.state == TrialState.COMPLETE
    taken = [row.metric for row in rows(storage, MeasurementRow) if row.design == design.id]
    assert sorted(taken) == sorted(2 * ["accuracy", "bits", "params"] + ["flops"])
    candidate = Candidate(evaluator.plan.space, design)
    state = evaluator.weights.load(design.id)
    assert state is not None
    candidate.restore(state)
    counts = candidate.cost.numbers
    assert {name: again.values[name] for name in counts} == counts


def test_stored_metrics_need_no_weights(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    design = evaluator.plan.space.design(RIGID)
    first = evaluator.evaluate(design)
    weight_files(storage, "s")[design.id].unlink()
    monkeypatch.setattr("dsx.measure.candidate.train", lambda *_: pytest.fail("trained again"))
    assert evaluator.evaluate(design).values == first.values


def test_metrics_of_other_shapes_than_the_weights_have_are_measured_again(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    design = evaluator.plan.space.design(RIGID)
    first = evaluator.evaluate(design)
    # As after an interruption between storing the weights and the metrics of a second training.
    protocol = evaluator.plan.protocol("flops", design)
    evaluator.study.measurements.add(design.id, "flops", protocol, exact(1))
    monkeypatch.setattr("dsx.measure.candidate.train", lambda *_: pytest.fail("trained again"))
    assert evaluator.evaluate(design).values == first.values


def test_learned_shapes_that_cannot_be_expected_to_fit_are_not_trained(
    storage: str, tmp_path: Path
) -> None:
    objectives = "objectives: {accuracy: maximize, params: minimize}"
    bounded = f'{objectives}\nconstraints: {{params: "<= 30%"}}'
    evaluator = evaluator_of(varied(LEARNED, tmp_path, objectives, bounded), storage)
    half = {name: dataclasses.replace(spec, density=0.5) for name, spec in RIGID.items()}
    outcome = evaluator.evaluate(evaluator.plan.space.design(half))
    assert outcome.state == TrialState.REJECTED
    assert outcome.reason == "is expected to violate the constraint on params"
    assert outcome.violations["params"] > 0
    assert not outcome.values


def test_learned_shapes_that_violate_a_constraint_are_rejected(
    storage: str, tmp_path: Path
) -> None:
    evaluator = evaluator_of(LEARNED, storage)
    space = evaluator.plan.space
    design = space.design(RIGID)
    learned, expected = evaluator.evaluate(design).values["params"], space.cost(design).params
    assert learned != expected, "this test needs shapes that end elsewhere than expected"
    objectives = "objectives: {accuracy: maximize, params: minimize}"
    sense, limit = ("<=", (learned + expected) // 2) if learned > expected else (">=", expected)
    bounded = f'{objectives}\nconstraints: {{params: "{sense} {limit}"}}'
    outcome = evaluator_of(varied(LEARNED, tmp_path, objectives, bounded), storage).evaluate(design)
    assert (outcome.state, outcome.reason) == (
        TrialState.REJECTED,
        "violates the constraint on params",
    )
    assert set(outcome.values) == {"accuracy", "params", "flops", "bits"}


@pytest.mark.slow
def test_a_search_over_learned_shapes_shows_what_was_learned(storage: str) -> None:
    found = search(LEARNED, trials=4, storage=storage)
    learned = [
        entry for entry in found.entries
        if any(dials.get("kernel_shape") == "learned" for dials in entry.spec.values())
    ]  # fmt: skip
    assert learned
    stored = measured(storage)
    for entry in learned:
        assert {"accuracy", "params", "flops", "bits"} == set(entry.metrics)
        protocols = {protocol for design, _, protocol in stored if design == entry.id}
        plain = {protocol for design, _, protocol in stored if design == found.baseline}
        assert len(protocols) == 4 and protocols.isdisjoint(plain)


def with_metrics(*names: str) -> SearchSpace:
    """Build a space whose network and data use numpy scalars."""
    text = with_rules("{match: '*', groups: [1, 2, 4]}", model="tests.space.networks:Widths")
    wanted = ", ".join(f"'tests.search.metrics:{name}': minimize" for name in names)
    for old, new in (
        ("{width: 8}", "{}"),
        ("data: digits", "data: tests.space.networks:numpy_data"),
        ("params: minimize", f"params: minimize, {wanted}"),
    ):
        text = text.replace(old, new)
    return build(text)


def test_values_of_networks_data_and_metrics_may_be_numpy_scalars(storage: str) -> None:
    space = with_metrics("numpy_float", "numpy_int", "tensor", "decimal")
    found = search(space, trials=3, storage=storage, seed=np.int64(1))  # type: ignore[arg-type]
    assert states(storage, "tested")[TrialState.COMPLETE] == 3
    for entry in found.entries:
        values = [entry.metrics[name].value for name in space.file.objectives]
        assert values == [values[0]] * 5
    details = {json.dumps(row.provenance.details) for row in rows(storage, MeasurementRow)
                  if row.metric.endswith("numpy_int")}  # fmt: skip
    assert details == {'{"low": 1, "flag": true}'}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bare", "bare returns a float32, not a Measurement"),
        ("text", "is '3', which is not a number"),
        ("complex_number", "is 3j, which is not a number"),
        ("other_mean", "is 1.0, but the mean of its results per example is 0.5"),
    ],
)
def test_a_metric_that_returns_no_number_is_reported(storage: str, name: str, problem: str) -> None:
    with pytest.raises(WorkFailed, match=problem):
        search(with_metrics(name), trials=1, storage=storage)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mapping", "mapping has a provenance of type dict, not a Provenance"),
        ("detail_nan", "detail_nan: Provenance cannot be stored: Out of range float values"),
        ("chance_inf", "chance_inf: Predictions cannot be stored: Out of range float values"),
        ("detail_object", "detail_object: Provenance cannot be stored: Object of type object"),
    ],
)
def test_a_metric_whose_provenance_cannot_be_stored_is_reported(
    storage: str, name: str, problem: str
) -> None:
    with pytest.raises(WorkFailed, match=problem):
        search(with_metrics(name), trials=1, storage=storage)


def test_a_metric_may_return_a_fraction(storage: str) -> None:
    found = search(with_metrics("fraction"), trials=1, storage=storage)
    values = found.entries[0].metrics
    expected = values["params"].value / 3
    assert values["tests.search.metrics:fraction"].value == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("exits", "the baseline cannot be measured: SystemExit$"),
        (
            "protocol_exits",
            r"^tests\.search\.metrics:protocol_exits: protocol\(\) fails: SystemExit$",
        ),
    ],
)
def test_a_metric_cannot_end_dsx(storage: str, name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        search(with_metrics(name), trials=1, storage=storage)
