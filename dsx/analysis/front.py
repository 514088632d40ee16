"""The front of a study, and the selection of designs.

Internally, every objective is minimised; `Front` changes the sign of maximised objectives once, at
the boundary. Infinite values are allowed, NaN is not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from dsx.analysis.differences import Objective, Rows
from dsx.analysis.dominance.membership import (
    POSSIBLE,
    Membership,
    contested_pairs,
    depend_on_flags,
    membership_of,
)
from dsx.analysis.dominance.pareto import Values, hypervolume, non_dominated, to_ideal
from dsx.analysis.dominance.probability import front_probabilities
from dsx.analysis.estimate import Estimate
from dsx.analysis.reasons import Outcomes
from dsx.errors import DsxError, WorkFailed, did_you_mean, quoted

Direction = Literal["minimize", "maximize"]

SHORTEST_PREFIX = 4
"""Smallest number of characters of a design id that a user may give."""


class MetricKind(NamedTuple):
    """The stage and the refinement of a metric, as stored with a study.

    Attributes:
        stage: Stage of the metric.
        refinement: Way in which the metric is refined: none, re-measure or retrain.
    """

    stage: str
    refinement: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A measured design of a study.

    Attributes:
        id: Design id, 12 hexadecimal digits.
        trial: Number of the trial that evaluated the design first.
        feasible: Whether the design has all objectives and meets all constraints of the space.
        metrics: Estimates by metric; a feasible entry has all objectives.
        spec: Name of a slot to the dials of its spec.
        description: Notations of the slots of the design.
        redesigned: Number of slots that are not unchanged.
        fallbacks: Number of redesigned slots that are deployed in dense form; None if not deployed.
        device: Fingerprint of the device on which all metrics were measured.
        deployed: Id of the deployed network on that device; None if not deployed.
        deployed_counts: Params and FLOPs of the deployed network by metric, as far as known.
        missing: Objective to the reason for which it was not measured; empty if all were.
    """

    id: str
    trial: int
    feasible: bool
    metrics: Mapping[str, Estimate]
    spec: Mapping[str, Mapping[str, object]]
    description: str
    redesigned: int
    fallbacks: int | None
    device: str = ""
    deployed: str | None = None
    deployed_counts: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Front:
    """The completed designs of a study, and the front among them.

    Attributes:
        study: Name of the study.
        space: Name of the search space.
        objectives: Objective to direction, in the order of the space.
        units: Metric to unit.
        kinds: Metric to stage and refinement.
        entries: Measured designs, all different, in trial order.
        baseline: Design id of the baseline.
        reference: Objective to the value of the reference point, with its original sign.
        conditions: Human-readable notes about the conditions of the measurements.
        devices: Fingerprint to number of each device if measurements of several devices are
            included, that of the study first; otherwise empty.
        outcomes: Outcomes of the trials of the study.
    """

    study: str
    space: str
    objectives: Mapping[str, Direction]
    units: Mapping[str, str]
    entries: tuple[Entry, ...]
    baseline: str
    reference: Mapping[str, float]
    conditions: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=Outcomes)
    kinds: Mapping[str, MetricKind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.objectives, "a front needs an objective"
        assert len({entry.id for entry in self.entries}) == len(self.entries), "equal designs"
        for entry in self.entries:
            missing = self.objectives.keys() - entry.metrics.keys()
            assert not (entry.feasible and missing), f"{entry.id} lacks {missing}"
            for v in entry.metrics.values():
                assert not any(map(math.isnan, (v.low, v.value, v.high))), f"{entry.id} has a NaN"
                assert v.low <= v.value <= v.high, f"{entry.id} is outside its interval"

    @cached_property
    def feasible(self) -> list[Entry]:
        """The feasible designs, in trial order."""
        return [entry for entry in self.entries if entry.feasible]

    @cached_property
    def compared(self) -> list[Objective]:
        """The values of the feasible designs in each objective."""
        return [
            Objective(estimates=[entry.metrics[name] for entry in self.feasible], sign=sign)
            for name, sign in self._signs.items()
        ]

    @cached_property
    def on_front(self) -> tuple[Entry, ...]:
        """The feasible designs that no feasible design dominates, in trial order, with ties."""
        keep = non_dominated(self._costs(self.feasible))
        return tuple(entry for entry, kept in zip(self.feasible, keep, strict=True) if kept)

    @cached_property
    def front_ids(self) -> frozenset[str]:
        """The ids of the designs of the front."""
        return frozenset(entry.id for entry in self.on_front)

    @cached_property
    def probability(self) -> Mapping[str, float]:
        """The probability that each design is on the front, by id; 0 for infeasible designs."""
        found = front_probabilities([each.readings for each in self.compared]).tolist()
        return dict.fromkeys((entry.id for entry in self.entries), 0.0) | {
            entry.id: probability for entry, probability in zip(self.feasible, found, strict=True)
        }

    @cached_property
    def membership(self) -> Mapping[str, Membership]:
        """The front membership of each design by id; infeasible designs are not on the front."""
        depends = depend_on_flags(self.compared, self._relevant, self._comparable)
        flagged = dict(zip(self._relevant.tolist(), depends.tolist(), strict=True))
        ids = {self.feasible[row].id for row, depend in flagged.items() if depend}
        return {
            id_: membership_of(probability, id_ in self.front_ids, id_ in ids)
            for id_, probability in self.probability.items()
        }

    @cached_property
    def _relevant(self) -> Rows:
        """Rows of the feasible designs that are or may be on the front."""
        kept = [
            entry.id in self.front_ids or self.probability[entry.id] >= POSSIBLE
            for entry in self.feasible
        ]
        return np.flatnonzero(kept)

    @property
    def _comparable(self) -> Rows:
        """Rows of the feasible designs that could dominate others."""
        # A flagged value could be arbitrarily good.
        any_flagged = any(each.flagged.any() for each in self.compared)
        return np.arange(len(self.feasible)) if any_flagged else self._relevant

    @cached_property
    def possible(self) -> tuple[Entry, ...]:
        """The possible designs that are not on the front, the likeliest first."""
        behind = [
            entry
            for entry in self.feasible
            if self.membership[entry.id] == Membership.POSSIBLE and entry.id not in self.front_ids
        ]
        return tuple(sorted(behind, key=lambda entry: -self.probability[entry.id]))

    @cached_property
    def contested(self) -> list[tuple[Entry, Entry]]:
        """The contested pairs of feasible designs, each pair once.

        The second design could, but need not, dominate the first.
        """
        pairs = contested_pairs(self.compared, self._relevant, self._comparable)
        return [(self.feasible[first], self.feasible[second]) for first, second in pairs]

    def is_decided(self, one: Entry, other: Entry, name: str) -> bool:
        """Check whether two designs certainly differ in an objective.

        Args:
            one: A design with a value in the objective.
            other: Another one; either may be infeasible.
            name: Name of the objective.

        Returns:
            Whether both values are exact, or the 95 % interval of the difference excludes 0, in
            which a flagged value has a large error.
        """
        rows, objective = self._measured[name]
        exact = one.metrics[name].exact and other.metrics[name].exact
        return exact or objective.differ(rows[one.id], rows[other.id])

    @cached_property
    def _measured(self) -> Mapping[str, tuple[Mapping[str, int], Objective]]:
        """The values of all designs by objective, infeasible ones included, with their rows."""
        found = {}
        for name, sign in self._signs.items():
            known = [entry for entry in self.entries if name in entry.metrics]
            rows = {entry.id: row for row, entry in enumerate(known)}
            estimates = [entry.metrics[name] for entry in known]
            found[name] = rows, Objective(estimates=estimates, sign=sign)
        return found

    @cached_property
    def at_chance(self) -> tuple[str, ...]:
        """The objectives in which no design of the front is better than chance."""
        return tuple(
            name
            for name in self.objectives
            if self.on_front and all(entry.metrics[name].at_chance for entry in self.on_front)
        )

    def at_stage(self, stage: str) -> list[str]:
        """List the metrics of a stage.

        Args:
            stage: The stage.

        Returns:
            Names of metrics.
        """
        return [name for name, kind in self.kinds.items() if kind.stage == stage]

    def refined_by(self, refinement: str) -> list[str]:
        """List the metrics that are refined in the same way, objectives first.

        Args:
            refinement: Way in which the metrics are refined: none, re-measure or retrain.

        Returns:
            Names of metrics.
        """
        names = dict.fromkeys([*self.objectives, *self.kinds])
        return [n for n in names if n in self.kinds and self.kinds[n].refinement == refinement]

    @property
    def has_knee(self) -> bool:
        """Whether the front has a knee: some design is better than chance in every objective."""
        return bool(self.on_front) and not self.at_chance

    @cached_property
    def contenders(self) -> tuple[Entry, ...]:
        """The designs that could dominate another design, so that its membership is uncertain."""
        found = {other.id: other for _, other in self.contested}
        return tuple(entry for entry in self.feasible if entry.id in found)

    @cached_property
    def knee(self) -> Entry:
        """The design of the front nearest the ideal point, with scaled objectives.

        Each objective is scaled to the range of the front.

        Raises:
            WorkFailed: If there is no feasible design, or none is better than chance.
        """
        if self.at_chance:
            raise WorkFailed(
                f"study '{self.study}' has no knee: no design of the front is better than chance "
                f"in {', '.join(self.at_chance)}"
            )
        return min(self._nonempty_front(), key=lambda entry: (self._distances[entry.id], entry.id))

    @cached_property
    def hypervolume(self) -> float:
        """The hypervolume of the front, in the product of the units of the objectives."""
        if not self.on_front:
            return 0.0
        signed = [sign * self.reference[name] for name, sign in self._signs.items()]
        return hypervolume(self._costs(self.on_front), np.array(signed))

    @property
    def baseline_entry(self) -> Entry | None:
        """The entry of the baseline; None if it is not measured."""
        return next((entry for entry in self.entries if entry.id == self.baseline), None)

    def best(self, objective: str) -> Entry:
        """Find the design that is best in one objective.

        Args:
            objective: Name of the objective.

        Returns:
            A design of the front; of equal designs the one nearest the ideal point.

        Raises:
            WorkFailed: If there is no feasible design.
        """
        sign = self._signs[objective]

        def rank(entry: Entry) -> tuple[float, float, str]:
            return sign * entry.metrics[objective].value, self._distances[entry.id], entry.id

        return min(self._nonempty_front(), key=rank)

    def pick(self, name: str) -> Entry:
        """Find a design by the name that a user gives.

        Args:
            name: `knee`, `baseline`, an objective (for the best design in it), a design id or at
                least its first 4 characters, or a trial such as `#12`.

        Returns:
            The entry, which need not be on the front.

        Raises:
            DsxError: If there is no such design, or several.
            WorkFailed: If no design is feasible and the name refers to the front.
        """
        if name in self.objectives:
            return self.best(name)
        if name == "knee":
            return self.knee
        if name == "baseline":
            found = [self.baseline_entry] if self.baseline_entry else []
        elif name.startswith("#"):
            found = [entry for entry in self.entries if f"#{entry.trial}" == name]
        elif len(name) >= SHORTEST_PREFIX:
            found = [entry for entry in self.entries if entry.id.startswith(name.lower())]
        else:
            found = []
        if len(found) == 1:
            return found[0]
        raise DsxError(self._no_pick(name, found))

    def _no_pick(self, name: str, found: list[Entry]) -> str:
        if found:
            several = ", ".join(f"{entry.id} (#{entry.trial})" for entry in found[:5])
            ids = f"{len(found)} design ids: {several}"
            return f"{quoted(name)} is the prefix of {ids}; give more characters"
        if name == "baseline":
            return f"the baseline of study '{self.study}' is not measured yet"
        words = ["knee", "baseline", *self.objectives]
        trials = [f"#{entry.trial}" for entry in self.on_front]
        return (
            f"no design called {quoted(name)} in study '{self.study}' "
            f"(allowed: {', '.join(words)}, a design id or its first {SHORTEST_PREFIX} or more "
            "characters, a trial as "
            f"{trials[0] if trials else '#12'}).{did_you_mean(name, [*words, *trials])}"
        )

    @property
    def empty_reason(self) -> str:
        """The reason why no design is on the front, as a sentence without full stop."""
        if any(not entry.missing for entry in self.entries):
            return "No design meets the constraints"
        if damaged := self.conditions.get("damaged"):
            return f"No design has all of its measurements: {damaged}"
        if failure := self.outcomes.baseline_failure:
            return f"No design is completed, because the baseline failed: {failure}"
        return "No design is completed yet"

    def _nonempty_front(self) -> tuple[Entry, ...]:
        if not self.on_front:
            raise WorkFailed(f"study '{self.study}' has no front: {self.empty_reason}")
        return self.on_front

    @property
    def _signs(self) -> dict[str, float]:
        return {
            name: 1.0 if direction == "minimize" else -1.0
            for name, direction in self.objectives.items()
        }

    def _costs(self, entries: Sequence[Entry]) -> Values:
        rows = [
            [sign * entry.metrics[name].value for name, sign in self._signs.items()]
            for entry in entries
        ]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.objectives))

    @cached_property
    def _distances(self) -> dict[str, float]:
        ids = [entry.id for entry in self.on_front]
        return dict(zip(ids, to_ideal(self._costs(self.on_front)).tolist(), strict=True))
