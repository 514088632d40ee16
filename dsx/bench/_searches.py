"""Searches: whether one that runs beside others finds the latencies that it finds alone."""

import functools
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsx.bench._figures import Figure, Goal
from dsx.bench._networks import SEED
from dsx.errors import WorkFailed
from dsx.files import scratch
from dsx.measure.metrics.latency_ms import NAME as LATENCY
from dsx.store.studies import Study, load_values

PART = "searches"
GOAL = Goal(sign="<=", bound=1.5)
"""About 1: of two samples of ten from one distribution it is a little more now and then."""
COMMAND = (sys.executable, "-m", "dsx", "search", "--seed", str(SEED))

Latencies = Mapping[str, float]
"""Milliseconds by design id."""


def compare(space: str, at_once: int, trials: int) -> list[Figure]:
    """Search alone, then beside others, then alone again; all of them draw the same designs.

    Args:
        space: Name or file.
        at_once: How many search beside each other, each in a study and a database of its own.
        trials: Of each search.

    Returns:
        How far the latencies lie apart.
    """
    with scratch() as folder:
        first, *files, last = (Path(folder, f"{number}.db") for number in range(at_once + 2))
        (alone,) = search(space, [first], trials)
        together = search(space, files, trials)
        (again,) = search(space, [last], trials)
    return figures(alone, again, together)


def search(space: str, databases: Sequence[Path], trials: int) -> list[Latencies]:
    """Run `dsx search` for each of several databases, all at once.

    Args:
        space: Name or file.
        databases: Files that are not there yet.
        trials: Of each search.

    Returns:
        What each has measured.

    Raises:
        WorkFailed: If one of them fails.
    """
    begun = {}
    try:
        for file in databases:
            begun[file] = _begin(space, file, trials)
        for file, process in begun.items():
            if process.wait():
                last = file.with_suffix(".log").read_text().strip().splitlines()[-1:]
                raise WorkFailed(f"a search of the benchmark has failed: {' '.join(last)}")
    finally:
        for process in begun.values():
            process.kill()
            process.wait()
    return [_latencies(file) for file in begun]


def _begin(space: str, file: Path, trials: int) -> subprocess.Popen[bytes]:
    own = ("--trials", str(trials), "--study", file.stem, "--storage", f"sqlite:///{file}")
    with file.with_suffix(".log").open("w") as log:
        return subprocess.Popen([*COMMAND, space, *own], stdout=subprocess.DEVNULL, stderr=log)


def _latencies(file: Path) -> Latencies:
    study = Study.open(f"sqlite:///{file}", None)
    values = load_values(study)
    study.engine.dispose()
    return {
        design: measured[LATENCY].value
        for design, measured in values.items()
        if LATENCY in measured
    }


def figures(alone: Latencies, again: Latencies, together: Sequence[Latencies]) -> list[Figure]:
    """Compare what searches have measured.

    Args:
        alone: By one that ran alone.
        again: By another one that ran alone.
        together: By each that ran beside others.

    Returns:
        The deviations of the same designs, and the ratio of their medians.
    """
    own = _deviations(alone, again)
    beside = [one for latencies in together for one in _deviations(alone, latencies)]
    apart, farther = statistics.median(own), statistics.median(beside)

    figure = functools.partial(
        Figure,
        PART,
        machine=f"{len(together)} at once",
        made_from=f"{len(beside)} pairs of latencies",
    )
    own_pairs = f"{len(own)} pairs of latencies"
    return [
        figure("deviation of one search alone from itself", apart, made_from=own_pairs),
        figure("deviation of one among others from one alone", farther),
        figure("the second over the first", farther / apart, GOAL),
    ]


def _deviations(ours: Latencies, theirs: Latencies) -> list[float]:
    """How far the latencies of the designs that both have lie apart, as differences of logs."""
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        raise WorkFailed("the searches of the benchmark have no design in common")
    return [abs(math.log(ours[design] / theirs[design])) for design in both]
