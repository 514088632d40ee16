"""Interleaved timing: order of the calls, termination and provenance."""

import dataclasses
import json
import math
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from dsx.analysis.measurement import Machine, Provenance, from_json, to_json
from dsx.conv.timing import Run
from dsx.measure import Measurement
from dsx.measure.machine.load import HEAVY_CORES, Load
from dsx.measure.timing import device_lock as lock
from dsx.measure.timing import interleaved
from dsx.measure.timing import reference_workload as reference_workload
from dsx.measure.timing.clock import CpuClock, Times
from dsx.measure.timing.interleaved import (
    CHECK_INTERVAL,
    MIN_BLOCKS,
    PROTOCOL,
    _Rounds,
    time_interleaved,
)
from dsx.measure.timing.reference_workload import ReferenceWorkload
from dsx.measure.timing.workload_class import ALONE
from dsx.process import torch_threads
from dsx.space.yaml.schema import Measure
from tests.measure.crowd import Log, Other, held_by_other, time_often
from tests.measure.facts import machine, timing
from tests.measure.held import is_held
from tests.measure.machine.test_load import counters, share_since, spinning
from tests.measure.work import Counting, spin

SITUATION = ReferenceWorkload(CpuClock("thread"), 1).situation


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a separate folder for lock files."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    # The reference times of these tests are arbitrary.
    monkeypatch.setitem(interleaved.PROTOCOL, "most_drift", math.inf)
    return tmp_path


@dataclasses.dataclass
class RecordingClock:
    """A clock that records what it has timed.

    Args:
        names: Names of the runs by id; other runs are the reference workload.
        blocks: Name, number of calls and times of each block.
    """

    names: dict[int, str]
    blocks: list[tuple[str, int, Times]] = dataclasses.field(default_factory=list)
    name: str = "thread"
    device: str = "cpu"

    def time(self, run: Run, calls: int) -> Times:
        times = CpuClock(self.name).time(run, calls)
        self.blocks.append((self.names.get(id(run), "reference_workload"), calls, times))
        return times


def rounds_of(
    runs: dict[str, Run], reference: float, **settings: Any
) -> tuple[_Rounds, RecordingClock]:
    """Build the timing of some runs with a recording clock."""
    clock = RecordingClock({id(run): name for name, run in runs.items()})
    situation = ReferenceWorkload(clock, 1).situation
    state = _Rounds(list(runs.values()), Measure(**settings), clock, {situation: reference}, ALONE)
    return state, clock


def product() -> Run:
    """Compute a small matrix product."""
    x = torch.randn(64, 64)
    return lambda: x @ x


def within(seconds: float) -> Run:
    return lambda: spin(seconds)


def after_warm_up(state: _Rounds, clock: RecordingClock) -> list[tuple[str, int, Times]]:
    """Return the blocks after the first reference sample, without those that start a slice."""
    first = [name for name, _, _ in clock.blocks].index("reference_workload")
    assert {name for name, _, _ in clock.blocks[:first]} <= set("abc"[: len(state.subjects)])
    blocks = clock.blocks[first:]
    names = ["", *(name for name, _, _ in blocks)]
    starts = [
        at
        for at, pair in enumerate(pairwise(names))
        if pair == ("reference_workload", "reference_workload")
    ]
    # On a loaded machine, the timing takes more than one slice.
    assert len(starts) == len(state.slices) - 1
    return [block for at, block in enumerate(blocks) if at not in starts]


@pytest.mark.timing
def test_reference_workload_is_timed_between_blocks() -> None:
    runs = {"a": within(0.001), "b": within(0.0005), "c": within(0.0007)}
    state, clock = rounds_of(runs, 0.1, budget_seconds=0.1)
    while state.open:
        state.time_slice()
    order = [name for name, _, _ in after_warm_up(state, clock)]
    # One reference sample at the start, and one after each block.
    assert set(order[::2]) == {"reference_workload"}
    counts = [len(subject.own) for subject in state.subjects]
    assert min(counts) >= MIN_BLOCKS
    together = 3 * min(counts)
    assert "".join(order[1::2][:together]) == "abc" * min(counts)
    assert [order[1::2].count(name) for name in "abc"] == counts


@pytest.mark.timing
def test_reference_workload_takes_at_most_its_share_of_the_time() -> None:
    state, clock = rounds_of({"a": within(0.001), "b": within(0.004)}, 0.1, budget_seconds=0.2)
    while state.open:
        state.time_slice()
    _, *blocks = after_warm_up(state, clock)
    own = sum(calls * times.wall for name, calls, times in blocks if name != "reference_workload")
    reference_samples = (
        sum(calls for name, calls, _ in blocks if name == "reference_workload") * 0.1
    )
    # Computed from the reference time, because the current drift is not known in advance.
    assert 0.15 < reference_samples / (own + reference_samples) <= PROTOCOL["reference_share"]
    names = [name for name, _, _ in blocks]
    assert all(subject.calls > 0 for subject in state.subjects)
    assert names.count("reference_workload") == sum(len(subject.own) for subject in state.subjects)


@pytest.mark.timing
def test_blocks_are_long_enough_after_an_interrupted_warm_up() -> None:
    # The first call takes a thousand times as long as the others.
    state, _ = rounds_of({"a": Counting(0.0, 0.1, 0.0001)}, 0.5, budget_seconds=60)
    (subject,) = state.subjects
    state.reference = 0.5
    state._warm_up(subject)
    # 2 ms in calls of 0.1 ms, more than three times the reference workload.
    assert 3 <= subject.calls <= 20


@pytest.mark.timing
def test_very_slow_network_is_run_a_few_times() -> None:
    run = Counting(0.05)
    (found,) = time_interleaved([run], Measure(budget_seconds=0.001), {SITUATION: 0.2})
    # Warm-up, calibration of the number of calls, and the blocks.
    assert run.calls == 2 + MIN_BLOCKS
    assert (timing(found).blocks, timing(found).calls) == (3, 3)
    assert timing(found).raw_ms >= 50
    assert len(found.samples) == 3


@pytest.mark.timing
def test_unconverged_timing_ends_with_the_budget() -> None:
    # One call takes as long as two others, as do half of the blocks.
    run = Counting(*[0.01, 0.02] * 100)
    (found,) = time_interleaved([run], Measure(budget_seconds=0.4), {SITUATION: 0.2})
    assert found.provenance.converged is False
    assert (found.high - found.low) / found.value > 0.05
    # Two calls take at least 30 ms; warm-up and the last block are additional.
    assert MIN_BLOCKS <= timing(found).blocks <= run.calls <= 26 + 4
    assert timing(found).seconds >= 0.4


@pytest.mark.timing
def test_converged_timing_ends_after_the_minimum_number_of_blocks() -> None:
    settings = Measure(target_width=0.9, budget_seconds=600.0)
    (found,) = time_interleaved([within(0.0005)], settings, {SITUATION: 0.2})
    assert found.provenance.converged is True
    least = PROTOCOL["least_blocks"]
    assert least <= timing(found).blocks == len(found.samples)
    # Convergence is checked at intervals that start with each slice.
    if timing(found).seconds < interleaved.SLICE_SECONDS and not found.provenance.noisy:
        assert timing(found).blocks < least + CHECK_INTERVAL


@pytest.mark.timing
def test_a_longer_network_takes_longer() -> None:
    short, long = time_interleaved(
        [within(0.002), within(0.004)], Measure(budget_seconds=0.15), {SITUATION: 0.2}
    )
    assert 1.5 < long.value / short.value < 2.5
    assert 2 <= timing(short).raw_ms < 3


def test_reading_has_provenance() -> None:
    reference_times: dict[str, float] = {}
    (found,) = time_interleaved([product()], Measure(budget_seconds=0.1), reference_times)
    recorded = timing(found)
    stored = json.loads(json.dumps(to_json(found.provenance)))
    assert from_json(Provenance, stored) == found.provenance
    assert found.provenance.machine is not None
    assert reference_times == {SITUATION: recorded.reference_ms}
    assert recorded.clock == "thread"
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(statistics.median(found.samples))
    assert recorded.drift == pytest.approx(recorded.reference_sample_ms / recorded.reference_ms)
    assert found.converged == ((found.high - found.low) / found.value <= 0.05)
    assert recorded.own_seconds <= recorded.seconds
    assert recorded.calls % recorded.blocks == 0


def test_reference_time_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_workload, "CALIBRATION_CALLS", 10)
    reference_times: dict[str, float] = {}
    measure = Measure(budget_seconds=0.02)
    first, again = (time_interleaved([product()], measure, reference_times)[0] for _ in range(2))
    assert len(reference_times) == 1
    (reference,) = reference_times.values()
    for found in (first, again):
        assert timing(found).reference_ms == reference


def reading(state: _Rounds) -> Measurement:
    (subject,) = state.subjects
    return state.reading(subject, Load(False, Machine()))


def test_value_is_proportional_to_the_reference_time() -> None:
    state, _ = rounds_of({"a": within(0.001)}, 0.1, budget_seconds=0.1)
    state.time_slice()
    once = reading(state)
    state.reference *= 2
    twice = reading(state)
    for name in ("value", "low", "high"):
        assert getattr(twice, name) == pytest.approx(2 * getattr(once, name))
    assert twice.samples == pytest.approx([2 * sample for sample in once.samples])
    assert timing(twice).raw_ms == timing(once).raw_ms
    assert timing(twice).drift == pytest.approx(timing(once).drift / 2)


def test_blocks_are_corrected_by_neighbouring_reference_samples() -> None:
    state, _ = rounds_of({"a": within(0.001)}, 2.0)
    (subject,) = state.subjects
    # The speed of the machine halves after the twentieth block.
    state.reference, state.reference_samples = 2.0, [2.0] * 21 + [4.0] * 20
    subject.own, subject.wall = [10.0] * 20 + [20.0] * 20, [1.0] * 40
    subject.after = list(range(1, 41))
    samples = reading(state).samples
    assert reading(state).value == 10.0
    assert [*samples[:16], *samples[-16:]] == [10.0] * 32
    # Four reference samples before a block and four after it.
    assert samples[16:24] == pytest.approx(
        [*(10 * 2 / (2 + n / 4) for n in range(4)), *(20 * 2 / (3 + n / 4) for n in range(4))]
    )
    assert timing(reading(state)).drift == 1.0


@pytest.mark.parametrize("threads", [1, 2])
def test_device_lock_and_threads_during_a_timing(threads: int) -> None:
    seen = set()

    def run() -> None:
        seen.add((is_held("cpu"), torch.get_num_threads(), torch.is_inference_mode_enabled()))

    measure = Measure(budget_seconds=0.02, threads=threads)
    (found,) = time_interleaved([run], measure, {SITUATION: 0.2})
    assert seen == {(True, threads, True)}
    assert timing(found).clock == ("thread" if threads == 1 else "wall")
    assert not is_held("cpu")
    assert torch.get_num_threads() == 1


def test_threads_are_restored_after_a_failure() -> None:
    with pytest.raises(KeyError, match="stop"), torch_threads(2):
        assert torch.get_num_threads() == 2
        raise KeyError("stop")
    assert torch.get_num_threads() == 1


def test_waiting_for_the_device_lock_is_reported(folder: Path) -> None:
    with held_by_other(folder) as (waiting, recorded):
        time_interleaved(
            [product()], Measure(budget_seconds=0.02), {SITUATION: 0.2}, on_lock_wait=waiting
        )
    assert recorded == ["waiting"]


class Enough(Exception):
    """Error that ends a timing when the test is done."""


@pytest.mark.timing
def test_long_timing_releases_the_lock_for_others(folder: Path) -> None:
    log, begun = Log(folder / "log"), False
    with Other(time_often, folder, log, 1) as other:
        assert other.hear() == "ready"

        def run() -> None:
            nonlocal begun
            if not begun:
                other.say("go")
                begun = True
            if log.lines:
                raise Enough
            spin(0.001)

        measure = Measure(budget_seconds=30.0, target_width=0.001)
        with pytest.raises(Enough):
            time_interleaved([run], measure, {SITUATION: 0.2}, slice_seconds=0.05)
        assert other.hear() == "done"
    pid = other.process.pid
    assert log.lines == [f"begin {pid}", f"end {pid}"]


def test_load_is_that_of_the_busiest_slice() -> None:
    state, _ = rounds_of({"a": within(0.001)}, 0.1)
    state.slices = [counters(others=0.1), counters(others=1.0), counters(others=0.0)]
    recorded = state.load()
    assert (recorded.machine.others, recorded.noisy) == (1.0, True)
    state.slices = [counters(others=0.1), counters(others=0.0)]
    assert state.load().noisy is False


@pytest.mark.timing
def test_load_and_its_process_are_recorded() -> None:
    measure = Measure(budget_seconds=0.5, target_width=0.001)
    named: set[int] = set()
    with spinning() as one, spinning() as other:
        shares = [share_since(one), share_since(other)]
        # During the observation, other processes may have used every core.
        for _ in range(10):
            (found,) = time_interleaved([product()], measure, {SITUATION: 0.2})
            assert found.provenance.noisy is True
            assert (machine(found).others or 0.0) > 0.3
            named |= {heavy.pid for heavy in machine(found).heavy}
            if named & {one, other}:
                break
        # With many other processes, each may use too little CPU time to be listed.
        assert named & {one, other} or max(share() for share in shares) < 1.5 * HEAVY_CORES


def test_extreme_drift_is_not_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(interleaved.PROTOCOL, "most_drift", 2.0)
    measure = Measure(budget_seconds=0.1)
    known: dict[str, float] = {}
    time_interleaved([product()], measure, known)
    # A drift of five, and of three quarters of that.
    for factor, corrected in ((5.0, False), (0.75, True)):
        reference_times = {situation: value / factor for situation, value in known.items()}
        (found,) = time_interleaved([product()], measure, reference_times)
        recorded = timing(found)
        assert recorded.corrected is corrected
        assert (found.value == recorded.raw_ms) is not corrected
        assert corrected or not found.converged
