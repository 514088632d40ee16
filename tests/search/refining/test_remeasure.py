"""Re-measurement: interleaved new readings of the designs that can be built again."""

from pathlib import Path

import pytest
import torch

from dsx import front
from dsx.activity import Event, Kind, OnStatus, ignore_status
from dsx.errors import TrialFailed
from dsx.measure import this_device
from dsx.search.design.selection import design_of
from dsx.search.refining.remeasure import flagged_designs, remeasure
from dsx.store.database.schema import MeasurementRow
from dsx.store.studies.study import Study
from tests.measure.facts import deployed
from tests.search.again import (
    change,
    copy_to,
    let_machine_be,
    mark,
    readings,
    searched,
)
from tests.search.looking import measured, moved, rows
from tests.search.opening import reopened
from tests.search.spaces import LEARNED, STATIC, varied

HERE = this_device().fingerprint


@pytest.fixture
def storage(open_study: str, tmp_path: Path) -> str:
    """A copy of the study with contested designs."""
    return copy_to(open_study, tmp_path)


def again(
    storage: str,
    study: str,
    on_status: OnStatus = ignore_status,
    max_interleaved: int = 8,
) -> list[str]:
    """Time all designs of a study again."""
    plan, opened = reopened(storage, study)
    designs = [design_of(plan.space, entry) for entry in front(study, storage=storage).entries]
    return remeasure(designs, ["latency_ms"], plan, opened, on_status, max_interleaved)


def test_new_readings_are_added_to_old_readings(storage: str) -> None:
    before = {row.id: (row.value, row.low, row.high) for row in rows(storage, MeasurementRow)}
    designs = [entry.id for entry in front("quick", storage=storage).entries]
    assert again(storage, "quick") == designs
    after = {row.id: (row.value, row.low, row.high) for row in rows(storage, MeasurementRow)}
    assert before.items() <= after.items()
    new = [row for row in rows(storage, MeasurementRow) if row.id not in before]
    assert [(row.design, row.metric) for row in new] == [(one, "latency_ms") for one in designs]
    # With the same protocol and device as the old readings.
    assert {n for (_, metric, _), n in measured(storage).items() if metric == "latency_ms"} == {2}
    assert {row.device for row in rows(storage, MeasurementRow)} == {HERE}
    assert all(deployed(row.provenance).forms for row in new if row.design != designs[0])


def test_designs_are_timed_in_groups(storage: str) -> None:
    events: list[Event] = []
    assert len(again(storage, "quick", events.append, max_interleaved=2)) == 3
    # Another process may hold the device lock.
    timings = [event for event in events if event.kind != Kind.WAITING_FOR_DEVICE]
    assert timings == [
        Event(kind=Kind.TIMING, designs=2, fraction=0.0),
        Event(kind=Kind.TIMING, designs=1, fraction=2 / 3),
    ]


FAULTS = {
    "nan": "is nan",
    "number": "returns a float, not a Measurement",
    "short": "returns 2 readings of 3 networks",
    "none": "returns NoneType readings of 3 networks",
    "exits": "SystemExit",
}


def test_interleaved_readings_of_a_foreign_metric_are_checked(tmp_path: Path) -> None:
    metrics = {f"tests.search.metrics:interleaved_{name}": fault for name, fault in FAULTS.items()}
    objectives = ", ".join(f"'{metric}': minimize" for metric in metrics)
    space = varied(STATIC, tmp_path, "params: minimize", f"params: minimize, {objectives}")
    storage = searched(space, tmp_path, trials=3)
    plan, study = reopened(storage, "static")
    designs = [design_of(plan.space, entry) for entry in front("static", storage=storage).entries]
    before = measured(storage)
    for metric, fault in metrics.items():
        with pytest.raises(TrialFailed, match=fault):
            remeasure(designs, [metric], plan, study, ignore_status)
    assert measured(storage) == before


def test_learned_shapes_are_restored_from_weights_or_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_machine_be(False, monkeypatch)
    kinds = "kernel_shape: [full, learned], density: [0.25, 0.5], rigid: [false, true]"
    space = varied(LEARNED, tmp_path, kinds, "kernel_shape: [learned], density: [0.25]")
    # It has fewer params than the baseline and is on the front, so its weights are kept.
    timed = 'measure: {budget_seconds: 0.05, target_width: 0.9}\nconstraints: {latency_ms: ">= 0"}'
    space.write_text(f"{space.read_text()}{timed}\n")
    storage = searched(space, tmp_path, trials=2)
    baseline, learned = (entry.id for entry in front("learned", storage=storage).entries)
    (file,) = tmp_path.rglob(f"{learned}.*.safetensors")
    assert again(storage, "learned") == [baseline, learned]
    # It was not trained again.
    assert readings(storage, "accuracy") == {baseline: 1, learned: 1}
    first, second = (
        deployed(row.provenance).forms
        for row in rows(storage, MeasurementRow)
        if (row.design, row.metric) == (learned, "latency_ms")
    )
    assert first == second
    file.rename(tmp_path / "kept")
    assert again(storage, "learned") == [baseline]
    assert readings(storage) == {baseline: 3, learned: 2}
    # Weights of another network.
    Study.open(storage, "learned", writable=True).weights.save(learned, torch.nn.Linear(1, 1))
    assert again(storage, "learned") == [baseline]


@pytest.mark.parametrize("noisy", [True, False])
def test_flagged_designs_are_those_that_may_be_on_the_front(storage: str, noisy: bool) -> None:
    entries = front("quick", storage=storage).entries
    assert flagged_designs(front("quick", storage=storage), HERE) == []
    ids = [entry.id for entry in entries]
    change(storage, mark(*ids[1:], noisy=noisy))
    found = front("quick", storage=storage)
    assert {found.membership[one] for one in ids} == {"possible"}
    assert {entry.id for entry in flagged_designs(found, HERE)} == set(ids[1:])
    assert flagged_designs(found, "another device") == []

    def surely_off(row: MeasurementRow) -> None:
        if row.design == ids[1]:
            worst = 0.0 if row.metric == "accuracy" else 1e9
            row.value = row.low = row.high = worst

    change(storage, surely_off)
    assert [entry.id for entry in flagged_designs(front("quick", storage=storage), HERE)] == ids[2:]


def test_the_baseline_is_flagged_even_off_the_front(storage: str) -> None:
    found = front("quick", storage=storage)
    baseline = found.baseline
    change(storage, mark(baseline))

    def surely_off(row: MeasurementRow) -> None:
        if row.design == baseline and row.metric == "accuracy":
            row.value = row.low = row.high = 0.0

    change(storage, surely_off)
    others = {entry.id: entry for entry in found.entries if entry.id != baseline}

    def surely_better(row: MeasurementRow) -> None:
        if row.design in others and row.metric == "latency_ms":
            row.value = row.low = row.high = 1e-6

    change(storage, surely_better)
    found = front("quick", storage=storage)
    assert baseline not in {entry.id for entry in (*found.on_front, *found.possible)}
    assert [entry.id for entry in flagged_designs(found, HERE)] == [baseline]


def test_designs_of_another_device_are_not_timed_here(storage: str) -> None:
    ids = [entry.id for entry in front("quick", storage=storage).entries]
    change(storage, mark(*ids))
    other = moved(storage, "quick", ids[2:])
    found = front("quick", storage=storage, mix_devices=True)
    assert {entry.id for entry in flagged_designs(found, HERE)} == set(ids[:2])
    assert [entry.id for entry in flagged_designs(found, other)] == ids[2:]
