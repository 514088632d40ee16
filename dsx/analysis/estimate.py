"""Estimates: the value of a metric for one design, aggregated over its measurements."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The value of a metric for one design (low == high == value if it is exact).

    Attributes:
        value: Value in the unit of the metric.
        low: Lower end of the 95 % confidence interval.
        high: Upper end of the interval.
        seeds: Number of trainings, each with a seed of its own.
        readings: Number of measurements.
        converged: Whether the intervals of all measurements reached their target width.
        noisy: Whether other processes loaded the machine during a measurement.
        chance: Value that constant predictions reach; None for a metric without predictions.
        better_than_chance: Side of `chance` on which better values are.
        constant: Whether the predictions behind the value are constant.
        rests_on: Numbers of the measurements, no part of the equality. Two designs with equal
            deployed networks have the same measurements.
    """

    value: float
    low: float
    high: float
    seeds: int = 1
    readings: int = 1
    converged: bool = True
    noisy: bool = False
    chance: float | None = None
    better_than_chance: Literal["above", "below"] = "above"
    constant: bool = False
    rests_on: frozenset[int] = field(default=frozenset(), compare=False, repr=False)

    @property
    def unconverged(self) -> bool:
        """Whether the interval of a measurement did not reach its target width."""
        return not self.converged

    @property
    def flagged(self) -> bool:
        """Whether the value rests on unconverged or noisy measurements, for lack of better ones."""
        return self.noisy or not self.converged

    @property
    def at_chance(self) -> bool:
        """Whether the value is not better than `chance` with 95 % confidence."""
        if self.chance is None:
            return False
        above = self.better_than_chance == "above"
        return self.low <= self.chance if above else self.high >= self.chance

    @property
    def exact(self) -> bool:
        """Whether the interval is empty."""
        return self.low == self.high
