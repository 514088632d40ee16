"""Interleaved timing of several networks, block by block, together with the reference workload."""

import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from dsx.analysis import Measurement, Provenance, Timing
from dsx.conv import Run, rounds_until
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.machine import load as machine_load
from dsx.measure.machine import throttling
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
    "reference_share": 0.25,
    "reference_neighbours": 8,
    "most_drift": 2.0,
    "unseen": UNSEEN,
}
MIN_BLOCKS = 3
"""Minimum number of blocks of a network, even if the time budget is exhausted."""
MIN_CORRECTED = 0.1
"""Minimum fraction of blocks whose drift is at most `most_drift`; otherwise none is corrected."""
SLICE_SECONDS = 2.0
"""Time after which the device lock is released for other processes."""
WARM_UP_SHARE, STEADY = 0.1, 0.05
CHECK_INTERVAL = 10
"""Number of rounds between two checks of convergence, each of which takes as long as a block."""


def time_interleaved(
    runs: Sequence[Run],
    measure: Measure,
    reference_times: MutableMapping[str, float],
    workload: WorkloadClass = ALONE,
    on_lock_wait: Callable[[], None] | None = None,
    slice_seconds: float = SLICE_SECONDS,
) -> list[Measurement]:
    """Time networks in round-robin order until each interval converges or its budget is exhausted.

    The device lock is held during this time, see `dsx.measure.timing.device_lock`.

    Args:
        runs: Functions that run one network once.
        measure: The `measure` section of a space; its time budget applies to each network.
        reference_times: Reference times of this machine in milliseconds, by situation; a missing
            one is measured and added.
        workload: Workload class of the space of the networks.
        on_lock_wait: Function that is called if another process holds the device lock.
        slice_seconds: Time after which the device lock is released for other processes.

    Returns:
        Milliseconds of one run of each network in the same order, with the interval, the
        drift-corrected samples and the provenance.
    """
    clock = clock_for(measure.device, measure.threads, find(Backend, measure.backend).clock)
    with torch_threads(measure.threads), torch.inference_mode():
        rounds = _Rounds(runs, measure, clock, reference_times, workload)
        while rounds.open:
            with exclusive(lock_name(measure.device), on_lock_wait):
                rounds.time_slice(slice_seconds)
        load = rounds.load()
        return [rounds.reading(subject, load) for subject in rounds.subjects]


class _Subject:
    """A network and its timed blocks.

    Attributes:
        calls: Number of calls in a block.
        own: Milliseconds of a call for each block, by the clock.
        wall: Milliseconds of a call for each block, in wall time.
        after: Number of reference samples before each block.
        seconds: Total time spent on the network.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = 1
        self.own: list[float] = []
        self.wall: list[float] = []
        self.after: list[int] = []
        self.seconds = 0.0


class _Rounds:
    """The state of an interleaved timing.

    Attributes:
        open: Networks that need further blocks.
        reference_samples: Milliseconds of the reference workload in the order of time.
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
        self.slices: list[tuple[machine_load.Counters, machine_load.Counters]] = []
        self.throttled = throttling.events()

    def time_slice(self, seconds: float = SLICE_SECONDS) -> None:
        """Time for one slice, or until no network needs further blocks."""
        before, end = machine_load.read_counters(), time.perf_counter() + seconds
        if not self.slices:
            self.reference = self.reference_workload.reference(
                self.reference_times, self.subjects[0].run
            )
            for subject in self.subjects:
                self._warm_up(subject)
        self._sample_reference(1)
        for number in rounds_until(end):
            for subject in self.open:
                self._block(subject)
            check = (number + 1) % CHECK_INTERVAL == 0
            self.open = [subject for subject in self.open if not self._is_done(subject, check)]
            if not self.open:
                break
        self.slices.append((before, machine_load.read_counters()))

    def _warm_up(self, subject: _Subject) -> None:
        """Run until three blocks take the same time, or a fraction of the budget is exhausted."""
        begin = time.perf_counter()
        end = begin + WARM_UP_SHARE * self.measure.budget_seconds
        subject.run()
        share = PROTOCOL["reference_share"]
        block = max(PROTOCOL["least_block_ms"], self.reference * (1 - share) / share)
        last: list[float] = []
        for _ in rounds_until(end, least=1):
            times = self.clock.time(subject.run, subject.calls)
            # The number of calls never decreases, because interruptions only make calls longer.
            subject.calls = max(subject.calls, round(block / times.wall))
            last = [*last[-2:], times.own]
            if len(last) == 3 and max(last) <= (1 + STEADY) * min(last):
                break
        subject.seconds += time.perf_counter() - begin

    def _block(self, subject: _Subject) -> None:
        """Time one block, and then the reference workload for its share of the time."""
        begin = time.perf_counter()
        times = self.clock.time(subject.run, subject.calls)
        subject.own.append(times.own)
        subject.wall.append(times.wall)
        subject.after.append(len(self.reference_samples))
        share = PROTOCOL["reference_share"]
        room = subject.calls * times.wall * share / (1 - share)
        self._sample_reference(max(1, int(room / self.reference)))
        subject.seconds += time.perf_counter() - begin

    def _sample_reference(self, calls: int) -> None:
        self.reference_samples.append(self.reference_workload.time(calls))

    def _is_done(self, subject: _Subject, check: bool) -> bool:
        if subject.seconds >= self.measure.budget_seconds and len(subject.own) >= MIN_BLOCKS:
            return True
        if not check or len(subject.own) < PROTOCOL["least_blocks"]:
            return False
        found, corrected = self._estimate(subject)
        return corrected and found.relative_width <= self.measure.target_width

    def _estimate(self, subject: _Subject) -> tuple[Measurement, bool]:
        """Estimate from the blocks that can be corrected; return whether there are enough."""
        half = int(PROTOCOL["reference_neighbours"]) // 2
        sums = np.concatenate([[0.0], np.cumsum(self.reference_samples)])
        after = np.array(subject.after)
        first, last = (
            np.maximum(after - half, 0),
            np.minimum(after + half, len(self.reference_samples)),
        )
        near = (sums[last] - sums[first]) / (last - first)
        own, kept = np.array(subject.own), near <= PROTOCOL["most_drift"] * self.reference
        if kept.sum() < max(MIN_BLOCKS, MIN_CORRECTED * len(own)):
            # If several threads compete with other processes, both workloads can slow down a
            # hundredfold, but differently, so that the drift cannot be corrected.
            return estimate(own, np.full_like(own, self.reference), self.reference), False
        return estimate(own[kept], near[kept], self.reference), True

    def load(self) -> machine_load.Load:
        """Return the load of the slice with the highest load by other processes."""
        gpu = torch.cuda.current_device() if self.measure.device == "cuda" else None
        throttled = throttling.throttled(self.throttled, gpu)
        busiest = max(self.slices, key=lambda ends: machine_load.cores_of_others(*ends) or 0.0)
        noisy, machine = machine_load.load_since(*busiest)
        return machine_load.Load(noisy, throttled.of(machine))

    def reading(self, subject: _Subject, load: machine_load.Load) -> Measurement:
        """Return the reading of a network."""
        found, corrected = self._estimate(subject)
        reference_sample = float(np.median(self.reference_samples))
        timing = Timing(
            clock=self.clock.name,
            raw_ms=float(np.median(subject.own)),
            wall_ms=float(np.median(subject.wall)),
            reference_ms=self.reference,
            reference_sample_ms=reference_sample,
            drift=reference_sample / self.reference,
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
