"""Layers: where the time of a forward pass goes, slot by slot, clocked in the running network.

A stopwatch is read wherever the pass enters or leaves a slot, so that its laps fill the whole pass:
what belongs to no slot is a row of its own. Passes without it are made in turn with those that have
it; what they take less, reading it costs, and that is taken off in equal parts from every lap.

The stopwatch shows wall time: the clock of a thread is a call of the system, and a dozen of these
slow a small network down by several percent. Whole passes of one thread are timed by its own clock
too. Where the two differ most the pass was interrupted; the calmer half of the passes counts, and
of these the medians.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import nn

from dsx.analysis import DeploymentFacts, Measurement
from dsx.conv import LEAST_ROUNDS, default_clock, rounds_until
from dsx.errors import DsxError
from dsx.measure.candidate import Candidate
from dsx.measure.profile.stopwatch import Stopwatch, clocked
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.statistics import median_interval
from dsx.process import torch_threads
from dsx.space.yaml import Measure

BLOCK_MS, LEAST_PASSES = 10.0, 3
MOST_LAP_MS = 0.002
"""What a lap costs at most; it was never seen to cost more, but passes of many milliseconds vary by
more."""
PLAIN = "conv"
"""The form of a slot that holds the convolution which stood there."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a breakdown.

    Args:
        slot: Its name; None for everything that belongs to no slot.
        form: Deployed form; empty for everything else.
        ms: In one forward pass, all calls of the slot together.
        calls: How often the slot is called in one pass; 1 for everything else.
    """

    slot: str | None
    form: str
    ms: Measurement
    calls: int


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where the time of one network goes.

    Args:
        layers: The slots in the order of the network, everything else last.
        plain: A whole pass without a stopwatch.
        clocked: A whole pass with it, its cost included.
        passes: How many passes with the stopwatch count.
        deployment: Facts of the deployed network.
    """

    layers: tuple[Layer, ...]
    plain: Measurement
    clocked: Measurement
    passes: int
    deployment: DeploymentFacts = field(default_factory=DeploymentFacts)

    @property
    def ms(self) -> float:
        """The rows together: a whole pass, less what the stopwatch costs."""
        return sum(layer.ms.value for layer in self.layers)


@dataclass(frozen=True)
class _Pass:
    """Nanoseconds of one pass: by its own clock, by the wall, and of each row with its laps."""

    own: int
    wall: int
    rows: list[int]
    laps: list[int]


@dataclass
class _Subject:
    """A network and its passes so far.

    Args:
        candidate: What to run.
        clocked: Gives the same with a stopwatch.
        watch: The stopwatch.
        now: The clock of whole passes.
    """

    candidate: Candidate
    clocked: Callable[[], AbstractContextManager[nn.Module]]
    watch: Stopwatch
    now: Callable[[], int]
    block: int = 0
    with_it: list[_Pass] = field(default_factory=list)
    without: list[_Pass] = field(default_factory=list)

    def warm_up(self) -> None:
        """Run a few times, and find out how many passes make a block."""
        self._run(self.candidate.deployed)
        fastest = min(self._run(self.candidate.deployed).wall for _ in range(LEAST_PASSES))
        self.block = max(LEAST_PASSES, round(BLOCK_MS * 1e6 / fastest))

    def go_on(self) -> None:
        """Run a block with the stopwatch and one without; the first pass of each warms up."""
        with self.clocked() as network:
            self.with_it += self._block(network)
        self.without += self._block(self.candidate.deployed)

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
    """Refuse what no stopwatch can be read in.

    Args:
        measure: The `measure` of a space.

    Raises:
        DsxError: If it is another backend than eager, or another device than the CPU.
    """
    if measure.backend != "eager":
        raise DsxError(f"slots are clocked in eager only, not in {measure.backend}")
    if measure.device != "cpu":
        raise DsxError(f"slots are clocked on the CPU only, not on {measure.device}")


def break_down(candidates: Sequence[Candidate]) -> list[Breakdown]:
    """Find out where the time of some networks goes, pass by pass in turn.

    Nobody else times or trains meanwhile.

    Args:
        candidates: Designs of one network, measured alike; for each, the budget of the space's
            `measure` is spent.

    Returns:
        A breakdown each, in the same order.

    Raises:
        DsxError: If the space has them run by another backend than eager, or on another device
            than the CPU.
    """
    measure = candidates[0].space.file.measure
    check_clocked(measure)
    slots = [slot.name for slot in candidates[0].space.analysis.slots]
    with torch_threads(measure.threads):
        subjects = []
        for candidate in candidates:
            watch = Stopwatch(len(slots) + 1)
            # It may have to be trained first, which nobody can in inference mode.
            network = clocked(candidate.deployed, slots, watch)
            subjects.append(_Subject(candidate, network, watch, default_clock()))
        with (
            torch.inference_mode(),
            exclusive(lock_name(measure.device), candidates[0].on_lock_wait),
        ):
            for subject in subjects:
                subject.warm_up()
            end = time.perf_counter() + measure.budget_seconds * len(subjects)
            for _ in rounds_until(end, LEAST_ROUNDS):
                for subject in subjects:
                    subject.go_on()
    return [_breakdown(subject) for subject in subjects]


def _breakdown(subject: _Subject) -> Breakdown:
    choices = subject.candidate.deployed.choices
    with_it, without = _calm(subject.with_it), _calm(subject.without)
    whole, plain = _median([one.own for one in with_it]), _median([one.own for one in without])
    laps = with_it[0].laps
    lap = min(max(0.0, whole.value - plain.value) / sum(laps), MOST_LAP_MS)
    spans = [_median([one.rows[row] for one in with_it], lap * own) for row, own in enumerate(laps)]
    layers = []
    for slot, span in zip(subject.candidate.space.analysis.slots, spans, strict=False):
        form = choices[slot.name].form if slot.name in choices else PLAIN
        layers.append(Layer(slot=slot.name, form=form, ms=span, calls=len(slot.out_hw)))
    layers.append(Layer(slot=None, form="", ms=spans[-1], calls=1))
    return Breakdown(
        layers=tuple(layers),
        plain=plain,
        clocked=whole,
        passes=len(with_it),
        deployment=subject.candidate.deployment,
    )


def _calm(passes: Sequence[_Pass]) -> list[_Pass]:
    """Give the half of the passes that were interrupted least."""
    ordered = sorted(passes, key=lambda one: one.wall - one.own)
    return ordered[: (len(ordered) + 1) // 2]


def _median(nanoseconds: Sequence[int], less: float = 0.0) -> Measurement:
    """Give the median of some times, less so many milliseconds."""
    value, low, high = (max(0.0, end / 1e6 - less) for end in median_interval(nanoseconds))
    return Measurement(value=value, low=low, high=high)
