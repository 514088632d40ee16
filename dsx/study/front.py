"""The front of a study: the designs that no other design dominates, and which of them to pick.

Inside, every objective is minimised; `Front` turns the sign of the maximised ones once, at the
border. Infinite values are allowed (a design can be infinitely bad), NaN never gets in.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsx.errors import DsxError, WorkFailed, did_you_mean

Direction = Literal["minimize", "maximize"]
Values = NDArray[np.float64]

SHORTEST_PREFIX = 4
"""Fewer characters of a design id than this are taken for a misspelt word."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A measured number with its confidence interval (low == high == value where it is exact)."""

    value: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether there is no interval to speak of."""
        return self.low == self.high


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One measured design of a study.

    Attributes:
        id: The design id, 12 hexadecimal digits.
        trial: The trial that measured it first.
        feasible: Whether it meets all constraints of the space.
        metrics: What was measured, objectives and more; a feasible entry has all objectives.
        spec: Slot name to its dials.
        words: The design as a person would describe it.
        redesigned: How many slots are not kept as they are.
        fallbacks: How many of these are deployed in their dense form; None if not deployed.
    """

    id: str
    trial: int
    feasible: bool
    metrics: Mapping[str, Value]
    spec: Mapping[str, Mapping[str, object]]
    words: str
    redesigned: int
    fallbacks: int | None


@dataclass(frozen=True, kw_only=True)
class Front:
    """The designs of one study, and the front among them.

    Attributes:
        study: The study's name.
        space: The search space's name.
        objectives: Objective to direction, in the order of the space.
        units: Metric to unit.
        entries: The measured designs, all different, in trial order.
        baseline: The design id of the baseline.
        reference: Objective to the reference of the hypervolume, in its natural sign.
        conditions: What the numbers were measured under, for people to read.
    """

    study: str
    space: str
    objectives: Mapping[str, Direction]
    units: Mapping[str, str]
    entries: tuple[Entry, ...]
    baseline: str
    reference: Mapping[str, float]
    conditions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.objectives, "a front needs an objective"
        assert len({entry.id for entry in self.entries}) == len(self.entries), "equal designs"
        for entry in self.entries:
            missing = self.objectives.keys() - entry.metrics.keys()
            assert not (entry.feasible and missing), f"{entry.id} lacks {missing}"
            numbers = (x for v in entry.metrics.values() for x in (v.value, v.low, v.high))
            assert not any(map(math.isnan, numbers)), f"{entry.id} holds a NaN"

    @cached_property
    def on_front(self) -> tuple[Entry, ...]:
        """The feasible designs that no feasible design dominates, in trial order; ties all stay."""
        feasible = [entry for entry in self.entries if entry.feasible]
        keep = non_dominated(self._costs(feasible))
        return tuple(entry for entry, kept in zip(feasible, keep, strict=True) if kept)

    @cached_property
    def front_ids(self) -> frozenset[str]:
        """The design ids of the front."""
        return frozenset(entry.id for entry in self.on_front)

    @cached_property
    def knee(self) -> Entry:
        """The front's design nearest the ideal point, each objective scaled to the front's range.

        Raises:
            WorkFailed: If there is no feasible design.
        """
        return min(self._some_front(), key=lambda entry: (self._distances[entry.id], entry.id))

    @cached_property
    def hypervolume(self) -> float:
        """What the front dominates up to the reference, in the product of the objectives' units."""
        if not self.on_front:
            return 0.0
        signed = [sign * self.reference[name] for name, sign in self._signs.items()]
        return hypervolume(self._costs(self.on_front), np.array(signed))

    @property
    def baseline_entry(self) -> Entry | None:
        """The baseline's entry, None while it is not measured."""
        return next((entry for entry in self.entries if entry.id == self.baseline), None)

    def best(self, objective: str) -> Entry:
        """Find the design that is best in one objective.

        Args:
            objective: An objective's name.

        Returns:
            A design of the front; of several equally good ones that nearest the ideal point.

        Raises:
            WorkFailed: If there is no feasible design.
        """
        sign = self._signs[objective]

        def rank(entry: Entry) -> tuple[float, float, str]:
            return sign * entry.metrics[objective].value, self._distances[entry.id], entry.id

        return min(self._some_front(), key=rank)

    def pick(self, name: str) -> Entry:
        """Find a design by what a user calls it.

        Args:
            name: `knee`, `baseline`, an objective (the best in it), a design id or at least its
                first 4 characters, or a trial as `#12`.

        Returns:
            The entry, on the front or not.

        Raises:
            DsxError: If there is no such design, or several.
            WorkFailed: If the front is asked for and no design is feasible.
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
            return f"'{name}' begins {len(found)} design ids: {several}; give more characters"
        if name == "baseline":
            return f"the baseline of study '{self.study}' is not measured yet"
        words = ["knee", "baseline", *self.objectives]
        trials = [f"#{entry.trial}" for entry in self.on_front]
        return (
            f"no design called '{name}' in study '{self.study}' (allowed: {', '.join(words)}, a "
            f"design id or its first {SHORTEST_PREFIX} or more characters, a trial as "
            f"{trials[0] if trials else '#12'}).{did_you_mean(name, [*words, *trials])}"
        )

    def _some_front(self) -> tuple[Entry, ...]:
        if not self.on_front:
            raise WorkFailed(f"no design of study '{self.study}' meets the constraints")
        return self.on_front

    @property
    def _signs(self) -> dict[str, float]:
        return {name: 1.0 if way == "minimize" else -1.0 for name, way in self.objectives.items()}

    def _costs(self, entries: list[Entry] | tuple[Entry, ...]) -> Values:
        rows = [
            [sign * entry.metrics[name].value for name, sign in self._signs.items()]
            for entry in entries
        ]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.objectives))

    @cached_property
    def _distances(self) -> dict[str, float]:
        ids = [entry.id for entry in self.on_front]
        return dict(zip(ids, _to_ideal(self._costs(self.on_front)).tolist(), strict=True))


def non_dominated(values: Values) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    A point dominates another if it is nowhere worse and somewhere better; equal points do not
    dominate each other.

    Args:
        values: (n, m) costs to be minimised; may be infinite, not NaN.

    Returns:
        (n,) true where the point is on the front.

    Source:
        Kung, Luccio, Preparata 1975, in moocore (n log n for m <= 3).
    """
    # moocore misjudges +inf and crashes on -inf (0.3.2). Dominance only asks for the order.
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    if not len(values):
        return np.zeros(0, dtype=bool)
    ranks = [np.unique(column, return_inverse=True)[1].astype(float) for column in values.T]
    front: NDArray[np.bool_] = moocore.is_nondominated(np.stack(ranks, axis=1), keep_weakly=True)
    return front


def hypervolume(values: Values, reference: Values) -> float:
    """Measure the volume between a set of points and a reference point.

    Args:
        values: (n, m) costs to be minimised; may be infinite, not NaN. Points that are not better
            than the reference in every objective add nothing.
        reference: (m,) finite costs.

    Returns:
        The volume of what the points dominate and the reference does not, exact; infinite if a
        point that counts is infinitely good.
    """
    import moocore

    assert not np.isnan(values).any(), "NaN among the objectives"
    assert np.isfinite(reference).all(), "the reference has to be finite"
    # moocore drops infinite points silently, so they are judged here.
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if np.isinf(inside).any():
        return math.inf
    return float(moocore.hypervolume(inside, ref=reference))


def _to_ideal(costs: Values) -> Values:
    """Measure how far each point is from the best of all, every objective scaled to 0..1.

    An objective in which all finite values are equal counts 0. (n, m) -> (n,).
    """
    squares = np.zeros(len(costs))
    for column in costs.T:
        finite = column[np.isfinite(column)]
        if finite.size:
            span = np.ptp(finite) or 1.0
            squares += np.maximum((column - finite.min()) / span, 0.0) ** 2
    return np.sqrt(squares)
