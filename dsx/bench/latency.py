"""Reliability of measured latencies.

The benchmark measures, on an otherwise idle machine and with one loaded core, the repeatability of
readings, the agreement of rankings, the effect of concurrent searches, and the overhead of the
timing. The networks are designs of the space `digits`, sampled with a fixed seed, in the deployed
forms that a search would select.

It takes about eleven minutes on two cores. torch's own timer (`adaptive_autorange`) times the same
networks in the same order, each immediately after the reading of dsx and with the same time budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsx.bench import _order, _repeated, _searches
from dsx.bench._base import Bench, Report, Row
from dsx.bench._figures import Figure, describe
from dsx.bench._load import load_one_core
from dsx.bench._networks import build_networks


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of the benchmark.

    Args:
        space: Name or file of the search space.
        networks: Number of networks that are timed repeatedly.
        readings: Number of readings of each network.
        processes: Number of fresh processes in which each network is timed once more.
        designs: Number of designs that are ranked.
        searches: Number of concurrent searches.
        trials: Number of trials of each search.
        budget_seconds: Time budget of one reading in seconds.
    """

    space: str
    networks: int
    readings: int
    processes: int
    designs: int
    searches: int
    trials: int
    budget_seconds: float


FULL = Size(
    space="digits",
    networks=10,
    readings=20,
    processes=5,
    designs=30,
    searches=4,
    trials=6,
    budget_seconds=2.0,
)
TINY = Size(
    space=str(Path(__file__).with_name("tiny.yaml")),
    networks=3,
    readings=2,
    processes=1,
    designs=3,
    searches=1,
    trials=1,
    budget_seconds=0.02,
)


def repeatability(size: Size, report: Report) -> list[Figure]:
    """Time the same networks repeatedly.

    Args:
        size: Size of the benchmark.
        report: Function that receives each part.

    Returns:
        Spread, coverage and cost of the readings, and the agreement of their rankings.
    """
    timed = build_networks(size.space, size.networks, size.budget_seconds)
    report("repeatability: idle")
    idle = _repeated.repeat(timed, size.readings)
    report("repeatability: fresh processes")
    figures = idle.figures("idle") + _repeated.repeat_in_processes(timed, size.processes)
    report("repeatability: one core loaded")
    with load_one_core():
        loaded = _repeated.repeat(timed, size.readings)
    figures += loaded.figures("loaded") + _repeated.compare_loaded(idle, loaded)
    for machine, found in (("idle", idle), ("loaded", loaded)):
        figures += _order.compare_separate(found.readings, machine)
    return figures


def order(size: Size, report: Report) -> list[Figure]:
    """Rank the same designs twice.

    Args:
        size: Size of the benchmark.
        report: Function that receives each part.

    Returns:
        The agreement of the rankings.
    """
    timed = build_networks(size.space, size.designs, size.budget_seconds)
    report("order: idle")
    figures = _order.compare_interleaved(timed, "idle")
    report("order: one core loaded")
    with load_one_core():
        return figures + _order.compare_interleaved(timed, "loaded")


def searches(size: Size, report: Report) -> list[Figure]:
    """Search alone and concurrently.

    Args:
        size: Size of the benchmark.
        report: Function that receives each part.

    Returns:
        The deviations of the latencies.
    """
    report(f"searches: one, then {size.searches} concurrently")
    return _searches.compare_searches(size.space, size.searches, size.trials)


PARTS = (repeatability, order, searches)


def run(quick: bool, report: Report) -> Sequence[Row]:
    """Measure all parts.

    Args:
        quick: Whether to run a quick trial of the benchmark, whose results are meaningless.
        report: Function that receives each part.

    Returns:
        A row for each figure.
    """
    size = TINY if quick else FULL
    return [figure.row() for part in PARTS for figure in part(size, report)]


BENCH = Bench(
    measures="latency: repeatability of readings and rankings on an idle and on a loaded machine",
    run=run,
    describe=describe,
)
