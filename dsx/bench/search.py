"""Speed of the search of dsx compared with bare Optuna.

The figure of merit is the time until bare TPE reaches its final hypervolume, over the time until
the search passes it, with the same evaluation of designs. The default run searches a simulated
world that is fitted to real searches, in minutes. The full run searches real spaces for hours; each
search is saved, so that the same command resumes it.
"""

from collections.abc import Sequence

from dsx.bench._base import Bench, Report, Row
from dsx.bench._figures import Goal
from dsx.bench.searching.contests import CONTESTS, DESIGNS
from dsx.bench.searching.real import run_contest
from dsx.bench.searching.simulated import NAME, Simulation
from dsx.bench.searching.tables import run_rows, tables
from dsx.bench.searching.world import World

SEEDS, SIMULATED = 10, 30
"""Number of seeds, and of designs of each search in the simulated world."""
QUICK_SEEDS, QUICK = 2, 6
GOAL = Goal(sign=">=", bound=6.0)


def run(quick: bool, report: Report) -> Sequence[Row]:
    """Search the simulated world.

    Args:
        quick: Whether to check only that the benchmark runs.
        report: Function that receives each search.

    Returns:
        A row for each search.
    """
    world = World()
    seeds, designs = (QUICK_SEEDS, QUICK) if quick else (SEEDS, SIMULATED)
    rows: list[Row] = []
    for seed in range(seeds):
        report(f"searching a simulated world, seed {seed + 1} of {seeds}")
        records, judge = Simulation(world, seed, designs).run()
        rows += run_rows(NAME, GOAL, records, judge)
    return rows


def full(report: Report) -> Sequence[Row]:
    """Search all real spaces whose data are available.

    Args:
        report: Function that receives each search.

    Returns:
        A row for each search.
    """
    return [row for contest in CONTESTS for row in run_contest(contest, DESIGNS, report)]


BENCH = Bench(
    measures="search: time until the hypervolume of bare Optuna TPE is passed",
    run=run,
    tables=tables,
    full=full,
)
