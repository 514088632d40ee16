"""The searches of the benchmark: spaces, contenders and seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsx.bench._figures import Goal

BARE = "Optuna TPE"
"""The contender with which the others are compared."""
SPACES = Path(__file__).parent / "spaces"
DESIGNS = 60


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Searches of one space by several contenders.

    Args:
        name: Name of the contest.
        space: Name or file of the search space.
        seeds: Number of seeds of each contender.
        goal: Ratio of times that dsx should reach in the median over the seeds.
    """

    name: str
    space: str
    seeds: dict[str, int]
    goal: Goal

    @property
    def searches(self) -> Iterator[tuple[int, str]]:
        """Seed and contender of each search, all contenders of a seed after one another."""
        for seed in range(max(self.seeds.values())):
            yield from ((seed, name) for name, count in self.seeds.items() if seed < count)


LEAST = Goal(sign=">=", bound=2.5)
"""Ratio of times that dsx should reach with every seed."""
_TEN = {BARE: 10, "dsx screening": 10, "dsx TPE": 10}
CONTESTS = (
    Contest(
        name="digits",
        space="digits",
        seeds={**_TEN, "Optuna NSGA-II": 3},
        goal=Goal(sign=">=", bound=6.0),
    ),
    Contest(
        name="digits, latency and bits",
        space=str(SPACES / "digits-latency.yaml"),
        seeds=_TEN,
        goal=Goal(sign=">=", bound=4.0),
    ),
    Contest(
        name="mnist5k",
        space="mnist5k-resnet",
        seeds={BARE: 3, "dsx screening": 3},
        goal=Goal(sign=">=", bound=4.0),
    ),
    Contest(
        name="resnet18, FLOPs and bits",
        space=str(SPACES / "resnet18-static.yaml"),
        seeds={BARE: 10, "dsx screening": 10},
        goal=Goal(sign=">=", bound=4.0),
    ),
)
