"""The choice of the next measurements of a refinement: those that decide most pairs per second."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from dsx.analysis import Entry, Front, Objective, Prospects, Repeatable, Values
from dsx.search.refining.remeasure import (
    MAX_INTERLEAVED,
    flagged_designs,
    metrics_to_time,
    network_of,
    one_per_network,
)

HOPELESS = 0.05
"""Probability of a decision below which a pair is regarded as inseparable."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a refinement. Designs that are contested at these limits are regarded as tied.

    Args:
        readings: Largest number of readings of a contested design.
        seeds: Largest number of trainings of a contested design.
        flagged: Largest number of readings of a design that is not contested, if all readings are
            flagged.
        max_interleaved: Largest number of designs that are timed interleaved.
    """

    readings: int = 20
    seeds: int = 10
    flagged: int = 4
    max_interleaved: int = MAX_INTERLEAVED


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The number of pairs that a refinement can be expected to decide.

    Args:
        contested: Number of contested pairs.
        expected: Expected number of pairs that are decided within the time budget.
        inseparable: Number of pairs that no allowed number of measurements can be expected to
            decide.
        images: Number of validation images by which accuracies are compared; 0 if they are not.
    """

    contested: int
    expected: float
    inseparable: int
    images: int


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The measurements that a refinement can make on a front, and what they can decide.

    Args:
        front: The front.
        limits: Limits of the repetition.
        device: Fingerprint of the device that measures.
        trained: Names of the metrics that a training measures.
        attempts: Number of timings of each deployed network in this refinement.
        untrainable: Ids of the designs whose training failed.
    """

    front: Front
    limits: Limits
    device: str
    trained: Collection[str]
    attempts: Mapping[str, int] = field(default_factory=dict)
    untrainable: Collection[str] = ()

    @cached_property
    def to_time(self) -> list[Entry]:
        """The designs to time again: flagged ones, then those that decide most pairs.

        Of designs with the same deployed network, the first is listed.
        """
        flagged = [
            entry
            for entry in flagged_designs(self.front, self.device)
            if self._timings(entry) < self.limits.flagged
        ]
        return one_per_network([*flagged, *self._sorted("timing")])

    @cached_property
    def to_train(self) -> list[Entry]:
        """The designs to train again, those that decide most pairs first."""
        return self._sorted("training")

    @property
    def is_open(self) -> bool:
        """Whether a contested pair is undecided in an objective that can be measured again."""
        again = [number for number, kind in enumerate(self._kinds) if kind]
        return bool(again and self._all.undecided[again].any())

    def best(self, costs: Mapping[str, float]) -> str:
        """Choose the kind of the next measurement.

        Args:
            costs: Seconds of a measurement of one design by kind, `timing` and `training`.

        Returns:
            The kind that decides most pairs per second; timing as long as a flagged design has not
            been timed again.
        """
        if not self.to_train:
            return "timing"
        if not self.to_time:
            return "training"
        first = self.to_time[: self.limits.max_interleaved]
        if any(self._is_flagged(each) and not self._attempts(each) for each in first):
            return "timing"
        # A design that is not feasible decides nothing.
        rows = [self._row[entry.id] for entry in first if entry.id in self._row]
        timed = self._rates["timing"][rows].sum() / len(first) if "timing" in self._rates else 0.0
        trained = self._rates["training"].max()
        faster = timed / costs["timing"] >= trained / costs["training"]
        return "timing" if faster else "training"

    def outlook(self, seconds: float, costs: Mapping[str, float]) -> Outlook:
        """Estimate what measurements within a time budget can decide.

        Args:
            seconds: Time budget.
            costs: Seconds of a measurement of one design by kind.

        Returns:
            The outlook.
        """
        images = {
            len(one.values)
            for each, kind in zip(self.front.compared, self._kinds, strict=True)
            if kind == "training"
            for one in each.estimates[0].examples[:1]
        }
        return Outlook(
            contested=len(self._pairs),
            expected=float(self._decided(seconds, costs).sum()),
            inseparable=int((self._all.most() < HOPELESS).sum()),
            images=max(images, default=0),
        )

    def _decided(self, seconds: float, costs: Mapping[str, float]) -> Values:
        """Probability that each pair that is not hopeless is decided within a time budget."""
        planned = {kind: np.zeros(len(self._row)) for kind in self._rates}
        options = sorted(
            (-self._rates[kind][row] / costs[kind], kind, row)
            for kind in self._rates
            for row in np.flatnonzero(self._rates[kind]).tolist()
        )
        best = {kind: self._best_times(kind) for kind in self._rates}
        left = seconds
        for _, kind, row in options:
            times = min(int(best[kind][row]), int(left / costs[kind]))
            planned[kind][row] = times
            left -= times * costs[kind]
        return self._hopeful.decided([planned.get(kind) for kind in self._kinds])

    def _best_times(self, kind: str) -> Values:
        found = [self._hopeful.best_times(number) for number in self._numbers(kind)]
        times: Values = np.max(found, axis=0)
        return times

    @cached_property
    def _kinds(self) -> list[str]:
        """The kind of measurement that repeats each objective; empty if there is none."""
        timed = self.front.refined_by("re-measure")
        return [
            "timing" if name in timed else "training" if name in self.trained else ""
            for name in self.front.objectives
        ]

    def _numbers(self, kind: str) -> list[int]:
        return [number for number, own in enumerate(self._kinds) if own == kind]

    @cached_property
    def _row(self) -> dict[str, int]:
        return {entry.id: row for row, entry in enumerate(self.front.feasible)}

    @cached_property
    def _pairs(self) -> list[tuple[int, int]]:
        return [(self._row[one.id], self._row[other.id]) for one, other in self.front.contested]

    @cached_property
    def _all(self) -> Prospects:
        return Prospects(self._objectives, self._pairs)

    @cached_property
    def _hopeful(self) -> Prospects:
        """The prospects of the pairs that can be expected to be decided."""
        chances = self._all.most()
        pairs = [
            pair for pair, chance in zip(self._pairs, chances, strict=True) if chance >= HOPELESS
        ]
        return Prospects(self._objectives, pairs)

    @cached_property
    def _objectives(self) -> list[Objective | Repeatable]:
        found: list[Objective | Repeatable] = []
        for objective, kind in zip(self.front.compared, self._kinds, strict=True):
            if not kind:
                found.append(objective)
                continue
            count = self._seeds if kind == "training" else partial(readings, self.front)
            counts = np.array([max(count(each), 1) for each in self.front.feasible], dtype=float)
            left = np.array([self._left(kind, each) for each in self.front.feasible], dtype=float)
            found.append(Repeatable(objective=objective, counts=counts, most=counts + left))
        return found

    def _left(self, kind: str, entry: Entry) -> int:
        """Return how often a design may still be timed or trained."""
        if kind == "training":
            left = self.limits.seeds - self._seeds(entry)
            return 0 if entry.id in self.untrainable else max(left, 0)
        return (
            max(self.limits.readings - self._timings(entry), 0)
            if entry.device == self.device
            else 0
        )

    @cached_property
    def _rates(self) -> dict[str, Values]:
        """Expected number of decided pairs per measurement of each design, by kind."""
        rates = {
            kind: np.sum([self._hopeful.rates(number) for number in numbers], axis=0)
            for kind in ("timing", "training")
            if (numbers := self._numbers(kind))
        }
        if "timing" in rates:
            # The more attempts had flagged readings, the less likely the next has none.
            rates["timing"] /= [
                1 + self._attempts(entry) if self._is_flagged(entry) else 1
                for entry in self.front.feasible
            ]
        return rates

    def _sorted(self, kind: str) -> list[Entry]:
        rates = self._rates.get(kind, np.zeros(0))
        order = np.argsort(-rates, kind="stable").tolist()
        return [self.front.feasible[row] for row in order if rates[row] > 0]

    def _timings(self, entry: Entry) -> int:
        """Count the readings of a design, or the attempts of this refinement if they are more."""
        return max(readings(self.front, entry), self._attempts(entry))

    def _attempts(self, entry: Entry) -> int:
        return self.attempts.get(network_of(entry), 0)

    def _seeds(self, entry: Entry) -> int:
        names = [name for name in self.trained if name in self.front.objectives]
        return min((entry.metrics[name].seeds for name in names), default=0)

    def _is_flagged(self, entry: Entry) -> bool:
        return any(entry.metrics[name].flagged for name in metrics_to_time(self.front, [entry]))


def readings(front: Front, entry: Entry) -> int:
    """Count the readings of the timed metrics of a design.

    Args:
        front: The front.
        entry: Entry of the design.

    Returns:
        The smallest number over the metrics; a damaged metric has none.
    """
    names = metrics_to_time(front, [entry])
    return min((entry.metrics[n].readings if n in entry.metrics else 0 for n in names), default=0)
