"""Refinement of a study: contested designs are measured again within the time budget."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from dsx import front
from dsx.activity import End, Event, Kind
from dsx.errors import StorageError
from dsx.measure import this_device
from dsx.search.plan import make_plan
from dsx.search.refining.choice import Limits
from dsx.search.refining.refine import DEFAULT_LIMITS, Refinement, refine_study, reseeded
from dsx.space.space import build_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import LeaseRow, MeasurementRow, StudyRow
from dsx.store.lease.lease import Intervals, claim
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.study import find_study
from dsx.store.weights.weights import Weights
from tests.cli.running import INTERRUPT, dsx, start, until
from tests.search.again import change, copy_to, leave_open, let_machine_be, mark, readings, searched
from tests.search.looking import measured, moved, rows
from tests.search.spaces import LEARNED, QUICK, STATIC, varied

OBJECTIVES = "objectives: {accuracy: maximize, latency_ms: minimize}"
FOR_LONG = 60.0


@pytest.fixture
def storage(open_study: str, tmp_path: Path) -> str:
    """A copy of the study with contested designs."""
    return copy_to(open_study, tmp_path)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle machine, so that every reading counts."""
    let_machine_be(False, monkeypatch)


def unpaired(row: MeasurementRow) -> None:
    """Remove the results per example."""
    row.examples = None


def refinement(
    storage: str,
    seconds: float = FOR_LONG,
    study: str | None = None,
    trust: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Refinement:
    before = measured(storage)
    found = refine_study(study, seconds, storage=storage, trust=trust, limits=limits)
    assert before <= measured(storage)
    assert found.front == front(study, storage=storage)
    return found


@pytest.mark.timing
def test_contested_designs_are_timed_interleaved(storage: str) -> None:
    events: list[Event] = []
    before = readings(storage, "accuracy")
    limits = Limits(readings=3, seeds=1)
    found = refine_study("quick", FOR_LONG, storage=storage, on_status=events.append, limits=limits)
    assert (found.before, found.trained) == (3, 0)
    assert found.timed >= 3
    assert found.end == End.TIED
    did = [event for event in events if event.kind != Kind.WAITING_FOR_DEVICE]
    assert did[0].designs == 3
    assert {event.kind for event in did} == {Kind.TIMING}
    assert {*readings(storage).values()} <= {2, 3}
    assert readings(storage, "accuracy") == before
    assert found.failed == {}


def test_contested_designs_are_trained_with_further_seeds(storage: str) -> None:
    events: list[Event] = []
    limits = Limits(readings=1, seeds=2)
    contested = {each.id for pair in front("quick", storage=storage).contested for each in pair}
    found = refine_study("quick", FOR_LONG, storage=storage, on_status=events.append, limits=limits)
    trained = {each.design for each in events if (each.kind, each.seed) == (Kind.TRAINING, 1)}
    assert trained and trained <= contested
    assert (found.timed, found.trained) == (0, len(trained))
    numbers: dict[str, list[float]] = {}
    for row in rows(storage, MeasurementRow):
        if row.metric == "accuracy":
            numbers.setdefault(row.design, []).append(row.value)
    for entry in found.front.entries:
        if entry.id not in trained:
            assert len(numbers[entry.id]) == 1
            continue
        value = entry.metrics["accuracy"]
        first, second = numbers[entry.id]
        assert value.seeds == 2
        assert value.value == pytest.approx((first + second) / 2)
    assert [len({row.protocol for row in rows(storage, MeasurementRow) if row.metric == name})
            for name in ("accuracy", "latency_ms")] == [2, 1]  # fmt: skip
    assert list(Path(storage.removeprefix("sqlite:///")).parent.rglob("*.training")) == []


def test_a_damaged_checkpoint_of_a_seed_is_ignored(
    storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    text = find_study(measurements.engine, "quick").space_text
    plan = make_plan(reseeded(build_space("quick", "quick", text), 1), measurements)
    weights = Weights(measurements.engine, storage, "quick", plan.training)
    change(storage, unpaired)
    file = weights.checkpoint(front("quick", storage=storage).baseline)
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    limits = Limits(readings=1, seeds=2)
    assert refine_study("quick", FOR_LONG, storage=storage, limits=limits).trained >= 1
    (told,) = caplog.messages
    assert told.startswith(f"{file} is damaged")
    assert told.endswith("; the training starts again")
    assert list(file.parent.iterdir()) == [file] and file.read_text() == "mine"


@pytest.mark.timing
def test_both_kinds_of_measurements_are_made(storage: str) -> None:
    events: list[Event] = []
    limits = Limits(readings=3, seeds=2)
    found = refine_study("quick", FOR_LONG, storage=storage, on_status=events.append, limits=limits)
    assert found.timed >= 3
    assert found.trained >= 1
    kinds = [event.kind for event in events if event.kind != Kind.WAITING_FOR_DEVICE]
    assert set(kinds) == {Kind.TIMING, Kind.TRAINING}


def test_a_design_that_cannot_be_trained_is_reported_and_not_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    arguments = f"model: tests.search.models:Breaking\nmodel_args: {{file: {broken}}}"
    space = varied(QUICK, tmp_path, "model: small_cnn\nmodel_args: {width: 4}", arguments)
    storage = searched(space, tmp_path, trials=2)
    change(storage, leave_open)
    change(storage, unpaired)
    broken.touch()
    found = refinement(storage, trust=True, limits=Limits(readings=1, seeds=3))
    # The second is not tried if it cannot decide the pair alone.
    assert found.trained == len(found.failed) >= 1
    assert set(found.failed) <= {entry.id for entry in found.front.entries}
    assert set(found.failed.values()) == {"seed 1: KeyError: 'broken'"}
    assert set(readings(storage, "accuracy").values()) == {1}
    assert found.end == End.TIED


def test_nothing_starts_after_the_time_budget(storage: str) -> None:
    before = measured(storage)
    found = refinement(storage, seconds=0.0)
    assert (found.end, found.timed, found.trained) == (End.TIMEOUT, 0, 0)
    assert measured(storage) == before
    assert (found.before, len(found.front.contested)) == (3, 3)


@pytest.mark.timing
def test_the_baseline_has_as_many_readings_as_other_designs(storage: str) -> None:
    baseline = front("quick", storage=storage).baseline

    def worst(row: MeasurementRow) -> None:
        if row.metric in ("accuracy", "latency_ms"):
            row.examples = None
            if row.design == baseline:
                row.value = 0.0 if row.metric == "accuracy" else 1000.0
                row.low = row.high = row.value

    change(storage, worst)
    assert front("quick", storage=storage).membership[baseline] == "no"
    found = refinement(storage, limits=Limits(readings=10, seeds=1))
    assert found.before == 1 and found.timed > 0
    counts = readings(storage)
    assert counts[baseline] >= max(counts.values()) - 1 >= 1


def test_a_baseline_whose_latency_is_damaged_is_timed_first(tmp_path: Path) -> None:
    space = varied(
        QUICK, tmp_path, OBJECTIVES,
        "objectives: {params: minimize, flops: minimize}\nconstraints: {latency_ms: '<= 9000'}",
    )  # fmt: skip
    storage = searched(space, tmp_path)
    baseline = front("quick", storage=storage).baseline

    def damage(row: MeasurementRow) -> None:
        if row.metric == "latency_ms":
            row.provenance = dataclasses.replace(row.provenance, converged=False)
            row.samples = b"x" if row.design == baseline else row.samples

    def timed() -> bool:
        entry = front("quick", storage=storage).baseline_entry
        return entry is not None and "latency_ms" in entry.metrics

    change(storage, damage)
    assert not timed()
    refinement(storage, limits=Limits(readings=2, seeds=1))
    assert timed()


@pytest.mark.timing
def test_the_time_budget_limits_the_group_that_is_timed(tmp_path: Path) -> None:
    space = varied(QUICK, tmp_path, "budget_seconds: 0.05", "budget_seconds: 0.5")
    storage = searched(space, tmp_path)
    change(storage, leave_open)
    events: list[Event] = []
    refine_study(
        "quick", 1.0, storage=storage, on_status=events.append, limits=Limits(readings=2, seeds=1)
    )
    # Before the first timing, each design is expected to take half of the time.
    assert (events[0].kind, events[0].designs) == (Kind.TIMING, 2)


def test_exact_values_are_not_contested(tmp_path: Path) -> None:
    storage = searched(STATIC, tmp_path)
    found = refinement(storage)
    assert (found.end, found.before, found.timed) == (End.DECIDED, 0, 0)


def test_the_newest_study_is_refined_by_default(storage: str) -> None:
    assert refine_study(None, 0.0, storage=storage).front.study == "quick"


@pytest.mark.parametrize("noisy", [True, False])
def test_flagged_designs_are_timed_again_even_if_not_contested(
    storage: str, noisy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_machine_be(True, monkeypatch)
    # The fastest design is also the most accurate.
    fast, *others = front("quick", storage=storage).entries

    def decide(row: MeasurementRow) -> None:
        fastest = row.design == fast.id
        row.value = {"accuracy": 1.0 if fastest else 0.5}.get(row.metric, row.value)
        row.value *= 1 if fastest or row.metric == "accuracy" else 1000
        row.low = row.high = row.value
        row.examples = None

    change(storage, decide)
    change(storage, mark(fast.id, others[0].id, noisy=noisy))
    assert front("quick", storage=storage).contested == []
    found = refinement(storage, limits=Limits(readings=1, seeds=1))
    counts = readings(storage)
    assert counts[fast.id] == DEFAULT_LIMITS.flagged
    # These designs are certainly not on the front.
    assert {counts[other.id] for other in others} == {1}
    assert found.timed == counts[fast.id] - 1


def test_on_a_loaded_machine_the_number_of_attempts_is_limited(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Noisy readings do not count if there are others.
    let_machine_be(True, monkeypatch)
    found = refinement(storage, limits=Limits(readings=3, seeds=1))
    assert found.timed in (2 * 3, 3 * 3)
    assert {entry.metrics["latency_ms"].readings for entry in found.front.entries} == {1}


def test_learned_shapes_are_measured_again_with_another_seed(tmp_path: Path) -> None:
    kinds = "kernel_shape: [full, learned], density: [0.25, 0.5], rigid: [false, true]"
    space = varied(LEARNED, tmp_path, kinds, "kernel_shape: [learned], density: [0.25]")
    storage = searched(space, tmp_path, trials=2)

    baseline = front("learned", storage=storage).baseline

    def leave(row: MeasurementRow) -> None:
        unpaired(row)
        half = 0.01 if row.design == baseline else 0.3
        if row.metric == "params":
            row.value = row.low = row.high = 1000.0
        elif row.metric == "accuracy":
            row.low, row.high = row.value - half, row.value + half

    change(storage, leave)
    found = refinement(storage, limits=Limits(readings=1, seeds=2))
    assert found.trained >= 1
    taken = Counter((row.design, row.metric) for row in rows(storage, MeasurementRow))
    for entry in found.front.entries:
        learned = entry.id != found.front.baseline
        assert taken[entry.id, "accuracy"] == 2 or not learned
        assert taken[entry.id, "params"] == 1 + learned
        assert entry.metrics["params"].seeds == 1 + learned


def test_only_the_seed_differs(storage: str) -> None:
    from dsx.space import load_space

    space = load_space(QUICK)
    other = reseeded(space, 7)
    assert other.file.train.seed == 7
    assert reseeded(other, space.file.train.seed) == space


def test_a_study_of_another_device_or_process_is_rejected(storage: str) -> None:
    engine = open_database(storage, create=True)
    often = Intervals(increment=0.1)
    with (
        claim(engine, "quick", often),
        pytest.raises(StorageError, match="is being run by process"),
    ):
        refine_study("quick", 0.0, storage=storage)
    other = moved(storage, "quick", [entry.id for entry in front("quick", storage=storage).entries])
    with Session(engine) as session, session.begin():
        session.execute(update(StudyRow).values(device=other))
    with pytest.raises(StorageError, match="another device"):
        refine_study("quick", 0.0, storage=storage)
    assert rows(storage, LeaseRow) == []


def test_an_interruption_keeps_all_measurements(storage: str, tmp_path: Path) -> None:
    before = [row.id for row in rows(storage, MeasurementRow)]
    running = start("refine", "quick", "--for", "10m", folder=tmp_path)
    until(lambda: len(rows(storage, MeasurementRow)) > len(before) + 3, "something is measured")
    running.signal(INTERRUPT)
    ended = running.wait()
    assert (ended.code, ended.out) == (130, ""), ended
    *_, line = ended.err.splitlines()
    assert line == (
        "dsx: interrupted; all measurements are saved. To resume: dsx refine quick --for 10m"
    )
    assert rows(storage, LeaseRow) == []
    after = [row.id for row in rows(storage, MeasurementRow)]
    assert after[: len(before)] == before
    assert len(after) > len(before) + 3
    assert len(front("quick", storage=storage).entries) == 3


def test_a_study_that_does_not_exist_is_not_refined(storage: str, tmp_path: Path) -> None:
    before = len(rows(storage, MeasurementRow))
    ended = dsx("refine", "other", "--for", "10m", folder=tmp_path)
    assert ended.code == 2
    assert "'other'" in ended.err
    assert len(rows(storage, MeasurementRow)) == before


def test_dsx_refine_reports_what_it_measured(storage: str, tmp_path: Path) -> None:
    before = Counter(row.metric for row in rows(storage, MeasurementRow))
    ended = dsx("refine", "--for", "2s", "--json", folder=tmp_path)
    assert ended.code == 0, ended
    first, *lines = ended.err.splitlines()
    assert "3 contested pairs, of which about " in first
    (line,) = [line for line in lines if "contested pairs before, " in line]
    assert len(ended.json["designs"]) == 3
    after = Counter(row.metric for row in rows(storage, MeasurementRow))
    said = re.search(r"(\d+) timings and (\d+) trainings", line)
    assert said is not None
    # On a loaded machine the time budget may end before the first measurement.
    assert [after[name] - before[name] for name in ("latency_ms", "accuracy")] == [
        int(number) for number in said.groups()
    ]


def test_designs_without_weights_are_reported(tmp_path: Path) -> None:
    kinds = "kernel_shape: [full, learned], density: [0.25, 0.5], rigid: [false, true]"
    space = varied(LEARNED, tmp_path, kinds, "kernel_shape: [learned], density: [0.25]")
    timed = 'measure: {budget_seconds: 0.05, target_width: 0.9}\nconstraints: {latency_ms: ">= 0"}'
    space.write_text(f"{space.read_text()}{timed}\n")
    storage = searched(space, tmp_path, trials=2)
    baseline, learned = (entry.id for entry in front("learned", storage=storage).entries)
    change(storage, mark(baseline, learned, noisy=True))
    for file in tmp_path.rglob(f"{learned}.*.safetensors"):
        file.unlink()
    assert refinement(storage, limits=Limits(readings=2, seeds=1)).untimed == {learned}
