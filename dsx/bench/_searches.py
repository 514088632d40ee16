"""Effect of concurrent searches on the latencies that each of them measures."""

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
"""Slightly more than 1, since two samples of ten values from one distribution may differ."""
COMMAND = (sys.executable, "-m", "dsx", "search", "--seed", str(SEED))

Latencies = Mapping[str, float]
"""Milliseconds by design id."""


def compare_searches(space: str, concurrent: int, trials: int) -> list[Figure]:
    """Search alone, then concurrently, then alone again, always with the same sampled designs.

    Args:
        space: Name or file of the search space.
        concurrent: Number of concurrent searches, each with its own study and database.
        trials: Number of trials of each search.

    Returns:
        The deviations of the latencies.
    """
    with scratch() as folder:
        first, *files, last = (Path(folder, f"{number}.db") for number in range(concurrent + 2))
        (alone,) = run_searches(space, [first], trials)
        together = run_searches(space, files, trials)
        (again,) = run_searches(space, [last], trials)
    return deviation_figures(alone, again, together)


def run_searches(
    space: str, databases: Sequence[Path], trials: int, command: Sequence[str] = COMMAND
) -> list[Latencies]:
    """Run `dsx search` for several databases concurrently.

    Args:
        space: Name or file of the search space.
        databases: Files that do not exist yet.
        trials: Number of trials of each search.
        command: Command that runs a search.

    Returns:
        The latencies that each search has measured.

    Raises:
        WorkFailed: If a search fails.
    """
    started = {}
    try:
        for file in databases:
            started[file] = _start(command, space, file, trials)
        for file, process in started.items():
            if process.wait():
                last = file.with_suffix(".log").read_text().strip().splitlines()[-1:]
                raise WorkFailed(f"a search of the benchmark failed: {' '.join(last)}")
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    return [_latencies(file) for file in started]


def _start(command: Sequence[str], space: str, file: Path, trials: int) -> subprocess.Popen[bytes]:
    own = ("--trials", str(trials), "--study", file.stem, "--storage", f"sqlite:///{file}")
    with file.with_suffix(".log").open("w") as log:
        return subprocess.Popen([*command, space, *own], stdout=subprocess.DEVNULL, stderr=log)


def _latencies(file: Path) -> Latencies:
    study = Study.open(f"sqlite:///{file}", None)
    values = load_values(study)
    study.engine.dispose()
    return {
        design: measured[LATENCY].value
        for design, measured in values.items()
        if LATENCY in measured
    }


def deviation_figures(
    alone: Latencies, again: Latencies, together: Sequence[Latencies]
) -> list[Figure]:
    """Compare the latencies of searches.

    Args:
        alone: Latencies of a search that ran alone.
        again: Latencies of another search that ran alone.
        together: Latencies of each of the concurrent searches.

    Returns:
        The median deviations for the same designs, and their ratio.
    """
    separate = _deviations(alone, again)
    concurrent = [one for latencies in together for one in _deviations(alone, latencies)]
    expected, found = statistics.median(separate), statistics.median(concurrent)

    figure = functools.partial(
        Figure,
        PART,
        machine=f"{len(together)} concurrent",
        made_from=f"{len(concurrent)} pairs of latencies",
    )
    pairs = f"{len(separate)} pairs of latencies"
    return [
        figure("deviation between two searches that run alone", expected, made_from=pairs),
        figure("deviation of a concurrent search from one that runs alone", found),
        figure("the second over the first", found / expected, GOAL),
    ]


def _deviations(ours: Latencies, theirs: Latencies) -> list[float]:
    """Return the differences of the logarithms of the latencies of the common designs."""
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        raise WorkFailed("the searches of the benchmark have no design in common")
    return [abs(math.log(ours[design] / theirs[design])) for design in both]
