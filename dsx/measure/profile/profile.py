"""Profile of a forward pass: the time spent in each slot of the running network.

A stopwatch is read whenever the pass enters or leaves a slot, so that the laps cover the whole
pass; time outside of slots is a separate row. Passes with the stopwatch alternate with passes
without it, and the difference, which is the overhead of the stopwatch, is subtracted in equal parts
from all laps.

The stopwatch reads wall time, because reading the CPU time of a thread requires a system call,
which slows down small networks by several percent. Whole passes are also timed by the CPU time of
the thread. The difference between the two shows for how long a pass was interrupted. Medians are
computed over the half of the passes that were interrupted least.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import nn

from dsx.analysis import DeploymentFacts, Measurement
from dsx.conv import MIN_ROUNDS, default_clock, rounds_until
from dsx.errors import DsxError
from dsx.measure.candidate import Candidate
from dsx.measure.profile.stopwatch import Stopwatch, clocked
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.statistics import median_interval
from dsx.process import torch_threads
from dsx.space.yaml import Measure

BLOCK_MS, MIN_PASSES = 10.0, 3
MAX_LAP_MS = 0.002
"""Upper bound of the overhead of a lap; the measured difference varies more for long passes."""
PLAIN = "conv"
"""Form of an unchanged slot."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a breakdown.

    Args:
        slot: Name of the slot; None for the time outside of slots.
        form: Deployed form of the slot; empty outside of slots.
        ms: Milliseconds of all calls of the slot in one forward pass.
        calls: Number of calls of the slot in one forward pass; 1 outside of slots.
    """

    slot: str | None
    form: str
    ms: Measurement
    calls: int


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The time of one network by slot.

    Args:
        layers: Rows of the slots in the order of the network, followed by the time outside of
            slots.
        plain: Milliseconds of a pass without stopwatch.
        clocked: Milliseconds of a pass with stopwatch, including its overhead.
        passes: Number of passes with stopwatch in the medians.
        deployment: Facts of the deployed network.
    """

    layers: tuple[Layer, ...]
    plain: Measurement
    clocked: Measurement
    passes: int
    deployment: DeploymentFacts = field(default_factory=DeploymentFacts)

    @property
    def ms(self) -> float:
        """Milliseconds of a pass: the sum of all rows."""
        return sum(layer.ms.value for layer in self.layers)


@dataclass(frozen=True)
class _Pass:
    """Nanoseconds of one pass in CPU time, in wall time and by row; number of laps by row."""

    own: int
    wall: int
    rows: list[int]
    laps: list[int]


@dataclass
class _Subject:
    """A network and its timed passes.

    Args:
        candidate: The candidate.
        clocked: Function that returns a context with the network that reads the stopwatch.
        watch: The stopwatch.
        now: Clock of whole passes.
    """

    candidate: Candidate
    clocked: Callable[[], AbstractContextManager[nn.Module]]
    watch: Stopwatch
    now: Callable[[], int]
    block: int = 0
    with_watch: list[_Pass] = field(default_factory=list)
    plain: list[_Pass] = field(default_factory=list)

    def warm_up(self) -> None:
        """Run a few passes and determine the number of passes of a block."""
        self._run(self.candidate.deployed)
        fastest = min(self._run(self.candidate.deployed).wall for _ in range(MIN_PASSES))
        self.block = max(MIN_PASSES, round(BLOCK_MS * 1e6 / fastest))

    def run_blocks(self) -> None:
        """Run a block with stopwatch and one without; the first pass of each is a warm-up."""
        with self.clocked() as network:
            self.with_watch += self._block(network)
        self.plain += self._block(self.candidate.deployed)

    def _block(self, network: nn.Module) -> list[_Pass]:
        self._run(network)
        return [self._run(network) for _ in range(self.block)]

    def _run(self, network: nn.Module) -> _Pass:
        begin, wall = self.now(), time.perf_counter_ns()
        self.watch.start()
        network(self.candidate.sample)
        self.watch.lap(len(self.watch.spent) - 1)
        wall = time.perf_counter_ns() - wall
        return _Pass(self.now() - begin, wall, self.watch.spent, self.watch.laps)


def check_clocked(measure: Measure) -> None:
    """Check that the slots of a network can be timed.

    Args:
        measure: The `measure` section of a space.

    Raises:
        DsxError: If the backend is not eager, or the device is not the CPU.
    """
    if measure.backend != "eager":
        raise DsxError(f"slots cannot be timed in the backend {measure.backend} (allowed: eager)")
    if measure.device != "cpu":
        raise DsxError(f"slots cannot be timed on {measure.device} (allowed: cpu)")


def break_down(candidates: Sequence[Candidate]) -> list[Breakdown]:
    """Profile networks by interleaved passes while holding the device lock.

    Args:
        candidates: Candidates of one space; the time budget of its `measure` section is spent on
            each.

    Returns:
        One breakdown for each candidate, in the same order.

    Raises:
        DsxError: If the backend is not eager, or the device is not the CPU.
    """
    measure = candidates[0].space.file.measure
    check_clocked(measure)
    slots = [slot.name for slot in candidates[0].space.analysis.slots]
    with torch_threads(measure.threads):
        subjects = []
        for candidate in candidates:
            watch = Stopwatch(len(slots) + 1)
            # Outside of inference mode, because learned shapes have to be trained first.
            network = clocked(candidate.deployed, slots, watch)
            subjects.append(_Subject(candidate, network, watch, default_clock()))
        with (
            torch.inference_mode(),
            exclusive(lock_name(measure.device), candidates[0].on_lock_wait),
        ):
            for subject in subjects:
                subject.warm_up()
            end = time.perf_counter() + measure.budget_seconds * len(subjects)
            for _ in rounds_until(end, MIN_ROUNDS):
                for subject in subjects:
                    subject.run_blocks()
    return [_breakdown(subject) for subject in subjects]


def _breakdown(subject: _Subject) -> Breakdown:
    choices = subject.candidate.deployed.choices
    with_watch = _least_interrupted(subject.with_watch)
    without = _least_interrupted(subject.plain)
    whole, plain = _median([one.own for one in with_watch]), _median([one.own for one in without])
    laps = with_watch[0].laps
    lap = min(max(0.0, whole.value - plain.value) / sum(laps), MAX_LAP_MS)
    spans = [
        _median([one.rows[row] for one in with_watch], lap * own) for row, own in enumerate(laps)
    ]
    layers = []
    for slot, span in zip(subject.candidate.space.analysis.slots, spans, strict=False):
        form = choices[slot.name].form if slot.name in choices else PLAIN
        layers.append(Layer(slot=slot.name, form=form, ms=span, calls=len(slot.out_hw)))
    layers.append(Layer(slot=None, form="", ms=spans[-1], calls=1))
    return Breakdown(
        layers=tuple(layers),
        plain=plain,
        clocked=whole,
        passes=len(with_watch),
        deployment=subject.candidate.deployment,
    )


def _least_interrupted(passes: Sequence[_Pass]) -> list[_Pass]:
    """Return the half of the passes that were interrupted least."""
    ordered = sorted(passes, key=lambda one: one.wall - one.own)
    return ordered[: (len(ordered) + 1) // 2]


def _median(nanoseconds: Sequence[int], overhead: float = 0.0) -> Measurement:
    """Return the median of times in milliseconds, minus an overhead in milliseconds."""
    value, low, high = (max(0.0, end / 1e6 - overhead) for end in median_interval(nanoseconds))
    return Measurement(value=value, low=low, high=high)
