"""Latency: how far measured latencies can be trusted.

Four questions, on a machine that is otherwise idle and with a process that keeps one core at work:
does a reading repeat, does the order of designs repeat, do searches disturb each other, and what
does measuring cost beside what is measured. The networks are designs of the space `digits`, drawn
with a fixed seed, in the forms that a search would deploy.

It takes about eleven minutes on two cores. torch's own timer (`adaptive_autorange`) reads the same
networks in the same order, each reading right after dsx's, for at most the same time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsx.bench import _order, _repeated, _searches
from dsx.bench._base import Bench, Row, Tell
from dsx.bench._figures import Figure, say
from dsx.bench._load import loaded
from dsx.bench._networks import networks


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured.

    Args:
        space: Whose designs, by name or file.
        networks: Read again and again.
        readings: Of each.
        processes: Fresh ones, in each of which they are read once more.
        designs: Brought into an order.
        searches: At once.
        trials: Of each search.
        budget_seconds: For one reading.
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


def repeatability(size: Size, tell: Tell) -> list[Figure]:
    """Read the same networks again and again.

    Args:
        size: How much.
        tell: Told what is done.

    Returns:
        Spread, coverage and cost, and the order that such readings give.
    """
    timed = networks(size.space, size.networks, size.budget_seconds)
    tell("repeatability: quiet")
    quiet = _repeated.repeat(timed, size.readings)
    tell("repeatability: fresh processes")
    figures = quiet.figures("quiet") + _repeated.in_processes(timed, size.processes)
    tell("repeatability: one core loaded")
    with loaded():
        busy = _repeated.repeat(timed, size.readings)
    figures += busy.figures("loaded") + _repeated.moved(quiet, busy)
    for machine, found in (("quiet", quiet), ("loaded", busy)):
        figures += _order.one_by_one(found.readings, machine)
    return figures


def order(size: Size, tell: Tell) -> list[Figure]:
    """Time the same designs twice.

    Args:
        size: How many.
        tell: Told what is done.

    Returns:
        How well the orders agree.
    """
    timed = networks(size.space, size.designs, size.budget_seconds)
    tell("order: quiet")
    figures = _order.in_turn(timed, "quiet")
    tell("order: one core loaded")
    with loaded():
        return figures + _order.in_turn(timed, "loaded")


def searches(size: Size, tell: Tell) -> list[Figure]:
    """Search alone and beside others.

    Args:
        size: How many searches, of how many trials.
        tell: Told what is done.

    Returns:
        How far their latencies lie apart.
    """
    tell(f"searches: one and {size.searches} at once")
    return _searches.compare(size.space, size.searches, size.trials)


PARTS = (repeatability, order, searches)


def run(quick: bool, tell: Tell) -> Sequence[Row]:
    """Measure all parts."""
    size = TINY if quick else FULL
    return [figure.row() for part in PARTS for figure in part(size, tell)]


BENCH = Bench(
    measures="latency: whether readings and orders repeat, on a quiet and on a busy machine",
    run=run,
    say=say,
)
