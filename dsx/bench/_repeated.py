"""Repeatability of readings of the same networks, in an order that is shuffled each time."""

import functools
import multiprocessing
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

from dsx.bench._figures import Figure, Goal
from dsx.bench._networks import SEED, Networks, build_networks, timing_of
from dsx.conv.deploy import Choice
from dsx.measure import Measurement
from dsx.measure.timing import spread
from dsx.process import torch_threads

PART = "repeatability"
GOALS = {"idle": Goal(sign="<=", bound=0.05), "loaded": Goal(sign="<=", bound=0.10)}
COST = Goal(sign="<=", bound=1.6)
STORED, RAW, TIMER = "the stored value", "the raw median", "torch's adaptive_autorange"


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Repeated readings.

    Args:
        readings: Readings of each network.
        torch_seconds: Seconds by torch's own timer for each network.
        seconds: Duration of the readings of dsx.
        own_seconds: Duration of the blocks of the networks alone.
    """

    readings: Sequence[Sequence[Measurement]]
    torch_seconds: Sequence[Sequence[float]]
    seconds: float
    own_seconds: float

    def values(self, kind: str) -> list[list[float]]:
        """Return the values of one kind.

        Args:
            kind: One of `STORED`, `RAW` and `TIMER`.

        Returns:
            The values of each network, in milliseconds or, of torch's timer, in seconds.
        """
        if kind == TIMER:
            return [list(own) for own in self.torch_seconds]
        return [[_value(reading, kind) for reading in own] for own in self.readings]

    def figures(self, machine: str) -> list[Figure]:
        """Compute spread, coverage and cost of the readings.

        Args:
            machine: Condition of the machine, "idle" or "loaded".

        Returns:
            The figures.
        """
        made_from = f"{len(self.readings)} networks, {len(self.readings[0])} readings each"

        figure = functools.partial(Figure, machine=machine, made_from=made_from)
        spreads = []
        for kind in (STORED, RAW, TIMER):
            own = [spread(values) for values in self.values(kind)]
            goal = GOALS[machine] if kind == STORED else None
            spreads += [
                figure(PART, f"spread of {kind}, median network", statistics.median(own), goal),
                figure(PART, f"spread of {kind}, worst network", max(own), goal),
            ]
        return [
            *spreads,
            figure(
                PART, "readings whose interval contains the median of the network", self._covered()
            ),
            figure(PART, "readings that are unconverged", self._share(lambda r: not r.converged)),
            figure(PART, "readings that are noisy", self._share(lambda r: r.noisy)),
            figure(
                "cost",
                "duration of the timing over that of the blocks of the network",
                self.seconds / self.own_seconds,
                COST,
            ),
        ]

    def _covered(self) -> float:
        held = [
            reading.low <= statistics.median(values) <= reading.high
            for own, values in zip(self.readings, self.values(STORED), strict=True)
            for reading in own
        ]
        return sum(held) / len(held)

    def _share(self, is_flagged: Callable[[Measurement], bool]) -> float:
        flagged = [is_flagged(reading) for own in self.readings for reading in own]
        return sum(flagged) / len(flagged)


def _value(reading: Measurement, kind: str) -> float:
    return reading.value if kind == STORED else timing_of(reading).raw_ms


def repeat(timed: Networks, times: int) -> Repeated:
    """Time each network repeatedly, by dsx and immediately afterwards by torch's own timer.

    Args:
        timed: The networks.
        times: Number of readings of each network.

    Returns:
        All readings.
    """
    order = list(range(len(timed.runs)))
    readings: list[list[Measurement]] = [[] for _ in order]
    torch_seconds: list[list[float]] = [[] for _ in order]
    seconds = own_seconds = 0.0
    rng = random.Random(SEED)
    for _ in range(times):
        rng.shuffle(order)
        for number in order:
            found = timed.time([number])
            readings[number] += found.readings
            seconds += found.seconds
            own_seconds += found.own_seconds
            torch_seconds[number].append(_time_by_torch(timed, number))
    return Repeated(
        readings=readings,
        torch_seconds=torch_seconds,
        seconds=seconds,
        own_seconds=own_seconds,
    )


def _time_by_torch(timed: Networks, number: int) -> float:
    """Return the median of torch's own timer in seconds, with the same time budget."""
    timer = Timer("run()", globals={"run": timed.runs[number]}, num_threads=timed.measure.threads)
    with torch_threads(timed.measure.threads), torch.inference_mode():
        return float(timer.adaptive_autorange(max_run_time=timed.measure.budget_seconds).median)


def repeat_in_processes(timed: Networks, processes: int) -> list[Figure]:
    """Time each network once in each of several fresh processes, one process at a time.

    Args:
        timed: Networks whose deployed forms and reference times the processes use.
        processes: Number of processes.

    Returns:
        The spread between processes.
    """
    count = len(timed.runs)
    context = multiprocessing.get_context("spawn")
    found = []
    for number in range(processes):
        with ProcessPoolExecutor(1, mp_context=context) as process:
            found.append(
                process.submit(
                    _time_once,
                    timed.space,
                    count,
                    timed.measure.budget_seconds,
                    dict(timed.form_cache),
                    dict(timed.reference_times),
                    SEED + number,
                ).result()
            )
    figures = []
    for kind in (STORED, RAW):
        own = [spread([_value(readings[n], kind) for readings in found]) for n in range(count)]
        for which, value in (("median", statistics.median(own)), ("worst", max(own))):
            figures.append(
                Figure(
                    part=PART,
                    machine="idle, fresh processes",
                    figure=f"spread of {kind}, {which} network",
                    value=value,
                    made_from=f"{count} networks, {processes} processes",
                )
            )
    return figures


def _time_once(
    space: str,
    count: int,
    budget_seconds: float,
    form_cache: Mapping[str, Choice],
    reference_times: Mapping[str, float],
    seed: int,
) -> list[Measurement]:
    timed = build_networks(space, count, budget_seconds, form_cache, reference_times)
    order = list(range(count))
    random.Random(seed).shuffle(order)
    readings = {number: timed.time([number]).readings[0] for number in order}
    return [readings[number] for number in range(count)]


def compare_loaded(idle: Repeated, loaded: Repeated) -> list[Figure]:
    """Compare the readings on a loaded machine with those on an idle machine.

    Args:
        idle: Readings of the networks on an idle machine.
        loaded: Readings of the same networks on a loaded machine.

    Returns:
        The relative deviation of the median of each network, for each kind of value.
    """
    figures = []
    for kind in (STORED, RAW, TIMER):
        deviations = [
            abs(statistics.median(ours) / statistics.median(theirs) - 1)
            for ours, theirs in zip(loaded.values(kind), idle.values(kind), strict=True)
        ]
        figures.append(
            Figure(
                part=PART,
                machine="loaded",
                figure=f"deviation of {kind} from the idle machine, median network",
                value=statistics.median(deviations),
                made_from=f"{len(deviations)} networks",
            )
        )
    return figures
