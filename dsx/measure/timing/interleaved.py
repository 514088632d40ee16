"""Rounds: time several networks in turn, block by block, with the sentinel between them."""

import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from dsx.analysis import Measurement, Provenance, Timing
from dsx.conv import Run, rounds_until
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.machine import load as busy
from dsx.measure.machine import throttling as throttle
from dsx.measure.timing.clock import Clock, clock_for
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.reference_workload import VERSION, ReferenceWorkload
from dsx.measure.timing.statistics import UNSEEN, estimate
from dsx.measure.timing.workload_class import ALONE, WorkloadClass
from dsx.process import torch_threads
from dsx.space.yaml import Measure

PROTOCOL = {
    "version": 2,
    "reference_workload": VERSION,
    "least_blocks": 200,
    "least_block_ms": 2.0,
    "sentinel_share": 0.25,
    "sentinel_neighbours": 8,
    "most_drift": 2.0,
    "unseen": UNSEEN,
}
FEWEST_BLOCKS = 3
"""Of a network so slow that the budget is spent before."""
LEAST_KEPT = 0.1
"""Share of the blocks around which the sentinel was not slower than `most_drift` times."""
SLICE_SECONDS = 2.0
"""After so long others who wait for the device have their turn."""
WARM_UP_SHARE, STEADY = 0.1, 0.05
LOOK = 10
"""Whether it is enough is asked every so many rounds: the answer takes as long as a block."""


def time_in_turn(
    runs: Sequence[Run],
    measure: Measure,
    reference_times: MutableMapping[str, float],
    workload: WorkloadClass = ALONE,
    on_lock_wait: Callable[[], None] | None = None,
    slice_seconds: float = SLICE_SECONDS,
) -> list[Measurement]:
    """Time what runs networks, round robin, until each is known well enough.

    Nobody else times or trains meanwhile: see `dsx.measure.timing.device_lock`.

    Args:
        runs: What to time; each runs one network once.
        measure: The `measure` of a space: threads, backend, target width and budget; the budget is
            that of one network.
        references: Milliseconds of the sentinel on this machine, by its situation; read, and added
            to.
        company: What the sentinel shall be like; of the space that the networks are of.
        on_lock_wait: Called if another process holds the device lock.
        slice_seconds: Time after which the device is yielded to other processes that wait for it.

    Returns:
        Milliseconds of one run of each, in the same order, with their intervals, drift-corrected
        samples and provenance.
    """
    clock = clock_for(measure.device, measure.threads, find(Backend, measure.backend).clock)
    with torch_threads(measure.threads), torch.inference_mode():
        rounds = _Rounds(runs, measure, clock, reference_times, workload)
        while rounds.open:
            with exclusive(lock_name(measure.device), on_lock_wait):
                rounds.go_on(slice_seconds)
        load = rounds.load()
        return [rounds.reading(subject, load) for subject in rounds.subjects]


class _Subject:
    """A network and its blocks so far.

    Attributes:
        calls: In one block.
        own: Milliseconds of a call, block by block.
        wall: The same by the wall clock.
        after: How many beats of the sentinel came before each block.
        seconds: All the time that was spent on it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = 1
        self.own: list[float] = []
        self.wall: list[float] = []
        self.after: list[int] = []
        self.seconds = 0.0


class _Rounds:
    """The timing of several networks on its way.

    Attributes:
        open: Those that are not known well enough.
        beats: Milliseconds of the sentinel, in the order of time.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        measure: Measure,
        clock: Clock,
        reference_times: MutableMapping[str, float],
        workload: WorkloadClass,
    ) -> None:
        self.measure, self.clock, self.reference_times = measure, clock, reference_times
        self.subjects = [_Subject(run) for run in runs]
        self.open = list(self.subjects)
        self.reference_workload = ReferenceWorkload(
            clock, measure.threads, measure.backend, workload
        )
        self.reference = 0.0
        self.reference_samples: list[float] = []
        self.slices: list[tuple[busy.Look, busy.Look]] = []
        self.throttled = throttle.events()

    def go_on(self, seconds: float = SLICE_SECONDS) -> None:
        """Time for one slice, or until all is known well enough; the device is kept."""
        before, end = busy.look(), time.perf_counter() + seconds
        if not self.slices:
            self.reference = self.reference_workload.reference(
                self.reference_times, self.subjects[0].run
            )
            for subject in self.subjects:
                self._warm_up(subject)
        self._beat(1)
        for number in rounds_until(end):
            for subject in self.open:
                self._block(subject)
            look = (number + 1) % LOOK == 0
            self.open = [subject for subject in self.open if not self._enough(subject, look)]
            if not self.open:
                break
        self.slices.append((before, busy.look()))

    def _warm_up(self, subject: _Subject) -> None:
        """Run until three blocks take the same time, or a part of the budget is spent."""
        begin = time.perf_counter()
        end = begin + WARM_UP_SHARE * self.measure.budget_seconds
        subject.run()
        share = PROTOCOL["sentinel_share"]
        block = max(PROTOCOL["least_block_ms"], self.reference * (1 - share) / share)
        last: list[float] = []
        for _ in rounds_until(end, least=1):
            times = self.clock.time(subject.run, subject.calls)
            # Never fewer: an interruption makes calls look long, and nothing makes them look short.
            subject.calls = max(subject.calls, round(block / times.wall))
            last = [*last[-2:], times.own]
            if len(last) == 3 and max(last) <= (1 + STEADY) * min(last):
                break
        subject.seconds += time.perf_counter() - begin

    def _block(self, subject: _Subject) -> None:
        """Time one block, and the sentinel after it for at most its share of the time."""
        begin = time.perf_counter()
        times = self.clock.time(subject.run, subject.calls)
        subject.own.append(times.own)
        subject.wall.append(times.wall)
        subject.after.append(len(self.reference_samples))
        share = PROTOCOL["sentinel_share"]
        room = subject.calls * times.wall * share / (1 - share)
        self._beat(max(1, int(room / self.reference)))
        subject.seconds += time.perf_counter() - begin

    def _beat(self, calls: int) -> None:
        self.reference_samples.append(self.reference_workload.time(calls))

    def _enough(self, subject: _Subject, look: bool) -> bool:
        if subject.seconds >= self.measure.budget_seconds and len(subject.own) >= FEWEST_BLOCKS:
            return True
        if not look or len(subject.own) < PROTOCOL["least_blocks"]:
            return False
        found, corrected = self._estimate(subject)
        return corrected and found.relative_width <= self.measure.target_width

    def _estimate(self, subject: _Subject) -> tuple[Measurement, bool]:
        """Estimate from the blocks that can be corrected; say whether there are enough of them."""
        half = int(PROTOCOL["sentinel_neighbours"]) // 2
        sums = np.concatenate([[0.0], np.cumsum(self.reference_samples)])
        after = np.array(subject.after)
        first, last = (
            np.maximum(after - half, 0),
            np.minimum(after + half, len(self.reference_samples)),
        )
        near = (sums[last] - sums[first]) / (last - first)
        own, kept = np.array(subject.own), near <= PROTOCOL["most_drift"] * self.reference
        if kept.sum() < max(FEWEST_BLOCKS, LEAST_KEPT * len(own)):
            # Two threads on cores that are taken lose a hundredfold, each in its own way: there is
            # nothing to correct with.
            return estimate(own, np.full_like(own, self.reference), self.reference), False
        return estimate(own[kept], near[kept], self.reference), True

    def load(self) -> busy.Load:
        """Say what else went on meanwhile: in the slice in which most did."""
        gpu = torch.cuda.current_device() if self.measure.device == "cuda" else None
        throttled = throttle.throttled(self.throttled, gpu)
        busiest = max(self.slices, key=lambda both: busy.others(*both) or 0.0)
        noisy, machine = busy.since(*busiest)
        return busy.Load(noisy, throttled.of(machine))

    def reading(self, subject: _Subject, load: busy.Load) -> Measurement:
        """Sum up what is known of a network."""
        found, corrected = self._estimate(subject)
        reference_samples = float(np.median(self.reference_samples))
        timing = Timing(
            clock=self.clock.name,
            raw_ms=float(np.median(subject.own)),
            wall_ms=float(np.median(subject.wall)),
            reference_ms=self.reference,
            reference_sample_ms=reference_samples,
            drift=reference_samples / self.reference,
            corrected=corrected,
            blocks=len(subject.own),
            calls=subject.calls * len(subject.own),
            own_seconds=sum(subject.wall) * subject.calls / 1e3,
            seconds=subject.seconds,
        )
        provenance = Provenance(
            converged=corrected and found.relative_width <= self.measure.target_width,
            noisy=load.noisy,
            timing=timing,
            machine=load.machine,
        )
        return replace(found, provenance=provenance)
