"""Comparison of the times in which a search and bare Optuna reach the same hypervolume.

All designs of a space and a seed are judged by the same values: latencies that were timed together,
accuracies on the test split, and counts. The *tight* hypervolume counts only designs that lose at
most two points of accuracy. Both are shares of the box between the reference point and the best
conceivable values, 0 for costs and 1 for accuracies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsx.analysis import hypervolume
from dsx.bench.searching.record import Found, Record

WORSENED = 0.1
"""Relative distance of the reference point from the baseline."""
MOST_LOST = 0.02
"""Largest loss of accuracy of the designs that count for the tight hypervolume."""
ACCURACY, LATENCY = "accuracy", "latency_ms"


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The values by which the designs of all contenders are judged.

    Args:
        objectives: Objectives, of which only an accuracy is maximised.
        latencies: Latency of each design by id, from timing all of them together.
        baseline: The baseline as found by one contender.
    """

    objectives: Sequence[str]
    latencies: Mapping[str, float]
    baseline: Found

    def costs(self, found: Found) -> list[float]:
        """Return the costs of a design.

        Args:
            found: The design.

        Returns:
            Values to be minimised, in the order of the objectives.
        """
        return [self._cost(found, name) for name in self.objectives]

    def _cost(self, found: Found, name: str) -> float:
        if name == ACCURACY:
            assert found.test is not None, "a trained design"
            return 1 - found.test
        return self.latencies[found.id] if name == LATENCY else found.values[name]

    def volumes(self, found: Sequence[Found], tight: bool) -> list[float]:
        """Compute the hypervolume after each design.

        Args:
            found: Designs of a search, in order.
            tight: Whether designs that lose much accuracy do not count.

        Returns:
            Shares of the box.
        """
        start = np.array(self.costs(self.baseline))
        reference = (1 + WORSENED) * start
        if ACCURACY in self.objectives:
            place = list(self.objectives).index(ACCURACY)
            accuracy = 1 - start[place]
            lost = MOST_LOST if tight else WORSENED * accuracy
            reference[place] = start[place] + lost
        costs = np.array([self.costs(each) for each in found])
        # An infeasible design has no volume.
        costs[[not each.feasible for each in found]] = np.inf
        box = float(np.prod(reference))
        return [hypervolume(costs[: n + 1], reference) / box for n in range(len(found))]


@dataclass(frozen=True, kw_only=True)
class Merit:
    """The comparison of a search with bare Optuna.

    Args:
        volume: Final hypervolume of the search.
        designs: Number of designs after which it passes that of bare Optuna; None if it never does.
        cpu: CPU seconds until bare Optuna reached its hypervolume, over those until the search
            passes it; None if it never does.
        wall: The same ratio of wall times.
        whole: CPU seconds of the whole search of bare Optuna over those until it is passed.
    """

    volume: float
    designs: int | None = None
    cpu: float | None = None
    wall: float | None = None
    whole: float | None = None


def compare(ours: Record, bare: Record, judge: Judge, tight: bool) -> Merit:
    """Compare a search with bare Optuna.

    Args:
        ours: Record of the search.
        bare: Record of bare Optuna with the same seed.
        judge: Values of all designs.
        tight: Whether to compare the tight hypervolume.

    Returns:
        The comparison.
    """
    goal, volumes = judge.volumes(bare.found, tight), judge.volumes(ours.found, tight)
    reached = next(number for number, volume in enumerate(goal) if volume >= goal[-1])
    passed = next((n for n, volume in enumerate(volumes) if volume >= goal[-1]), None)
    if passed is None:
        return Merit(volume=volumes[-1])
    then, now = bare.found[reached], ours.found[passed]
    return Merit(
        volume=volumes[-1],
        designs=passed + 1,
        cpu=then.cpu / now.cpu,
        wall=then.wall / now.wall,
        whole=bare.cpu / now.cpu,
    )
