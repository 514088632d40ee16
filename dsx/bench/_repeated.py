"""Repeatability: the same networks, read again and again, in an order that is shuffled anew."""

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
from dsx.bench._networks import SEED, Networks, networks, timing_of
from dsx.conv.deploy import Choice
from dsx.measure import Measurement
from dsx.measure.timing import spread
from dsx.process import torch_threads

PART = "repeatability"
GOALS = {"quiet": Goal(sign="<=", bound=0.05), "loaded": Goal(sign="<=", bound=0.10)}
COST = Goal(sign="<=", bound=1.6)
STORED, RAW, TIMER = "the stored value", "the raw median", "torch's adaptive_autorange"


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """What repeated readings gave.

    Args:
        readings: Of each network.
        others: Seconds that torch's own timer says, of each network.
        seconds: That dsx's readings took.
        own_seconds: Those of the networks' own blocks.
    """

    readings: Sequence[Sequence[Measurement]]
    others: Sequence[Sequence[float]]
    seconds: float
    own_seconds: float

    def values(self, kind: str) -> list[list[float]]:
        """Give the numbers of one kind, of each network."""
        if kind == TIMER:
            return [list(own) for own in self.others]
        return [[_number(reading, kind) for reading in own] for own in self.readings]

    def figures(self, machine: str) -> list[Figure]:
        """Sum it up.

        Args:
            machine: "quiet" or "loaded".
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
            figure(PART, "readings whose interval holds the network's median", self._covered()),
            figure(PART, "readings that are unconverged", self._share(lambda r: not r.converged)),
            figure(PART, "readings that are noisy", self._share(lambda r: r.noisy)),
            figure(
                "cost",
                "seconds of timing over seconds of the network's own blocks",
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

    def _share(self, is_marked: Callable[[Measurement], bool]) -> float:
        marked = [is_marked(reading) for own in self.readings for reading in own]
        return sum(marked) / len(marked)


def _number(reading: Measurement, kind: str) -> float:
    return reading.value if kind == STORED else timing_of(reading).raw_ms


def repeat(timed: Networks, times: int) -> Repeated:
    """Read each network many times, by dsx and right after it by torch's own timer.

    Args:
        timed: The networks.
        times: How often.

    Returns:
        All readings.
    """
    order = list(range(len(timed.runs)))
    readings: list[list[Measurement]] = [[] for _ in order]
    others: list[list[float]] = [[] for _ in order]
    seconds = own_seconds = 0.0
    rng = random.Random(SEED)
    for _ in range(times):
        rng.shuffle(order)
        for number in order:
            found = timed.time([number])
            readings[number] += found.readings
            seconds += found.seconds
            own_seconds += found.own_seconds
            others[number].append(_by_torch(timed, number))
    return Repeated(readings=readings, others=others, seconds=seconds, own_seconds=own_seconds)


def _by_torch(timed: Networks, number: int) -> float:
    """Give the median seconds that torch's own timer finds, in the same time at most."""
    timer = Timer("run()", globals={"run": timed.runs[number]}, num_threads=timed.measure.threads)
    with torch_threads(timed.measure.threads), torch.inference_mode():
        return float(timer.adaptive_autorange(max_run_time=timed.measure.budget_seconds).median)


def in_processes(timed: Networks, processes: int) -> list[Figure]:
    """Read each network once in each of several fresh processes, one process at a time.

    Args:
        timed: The networks, with forms and references that the processes take over.
        processes: How many.

    Returns:
        The spread over processes.
    """
    count = len(timed.runs)
    context = multiprocessing.get_context("spawn")
    found = []
    for number in range(processes):
        with ProcessPoolExecutor(1, mp_context=context) as process:
            found.append(
                process.submit(
                    _read_once,
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
        own = [spread([_number(readings[n], kind) for readings in found]) for n in range(count)]
        for which, value in (("median", statistics.median(own)), ("worst", max(own))):
            figures.append(
                Figure(
                    part=PART,
                    machine="quiet, fresh processes",
                    figure=f"spread of {kind}, {which} network",
                    value=value,
                    made_from=f"{count} networks, {processes} processes",
                )
            )
    return figures


def _read_once(
    space: str,
    count: int,
    budget_seconds: float,
    form_cache: Mapping[str, Choice],
    reference_times: Mapping[str, float],
    seed: int,
) -> list[Measurement]:
    timed = networks(space, count, budget_seconds, form_cache, reference_times)
    order = list(range(count))
    random.Random(seed).shuffle(order)
    readings = {number: timed.time([number]).readings[0] for number in order}
    return [readings[number] for number in range(count)]


def moved(quiet: Repeated, busy: Repeated) -> list[Figure]:
    """Compare what a loaded machine says of the networks with what a quiet one says.

    Args:
        quiet: Readings of the networks.
        busy: Readings of the same networks on a loaded machine.

    Returns:
        How far off the median of each network's readings is, for each kind of number.
    """
    figures = []
    for kind in (STORED, RAW, TIMER):
        off = [
            abs(statistics.median(ours) / statistics.median(theirs) - 1)
            for ours, theirs in zip(busy.values(kind), quiet.values(kind), strict=True)
        ]
        figures.append(
            Figure(
                part=PART,
                machine="loaded",
                figure=f"{kind} away from that of the quiet machine, median network",
                value=statistics.median(off),
                made_from=f"{len(off)} networks",
            )
        )
    return figures
