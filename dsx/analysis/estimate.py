"""Estimates: the value of a metric for one design, aggregated over its measurements."""

from dataclasses import dataclass, field
from typing import Literal

from dsx.analysis.examples import ExampleResults


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The value of a metric for one design (low == high == value if it is exact).

    Attributes:
        value: Value in the unit of the metric.
        low: Lower end of the 95 % confidence interval.
        high: Upper end of the interval.
        seeds: Number of trainings with different seeds.
        readings: Number of measurements.
        converged: Whether the intervals of all measurements reached their target width.
        noisy: Whether other processes loaded the machine during a measurement.
        chance: Value that constant predictions reach; None for a metric without predictions.
        better_than_chance: Whether better values are above or below `chance`.
        constant: Whether the value was computed from constant predictions.
        examples: Results per validation example of each training, in the order of the seeds; empty
            unless they are known for all trainings. They do not affect equality.
        rests_on: Row numbers of the measurements, which do not affect equality. Designs with equal
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
    examples: tuple[ExampleResults, ...] = field(default=(), compare=False, repr=False)
    rests_on: frozenset[int] = field(default=frozenset(), compare=False, repr=False)

    @property
    def unconverged(self) -> bool:
        """Whether the interval of a measurement did not reach its target width."""
        return not self.converged

    @property
    def flagged(self) -> bool:
        """Whether all measurements of the value are unconverged or noisy."""
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
        """Whether the value is exact, so that its interval has no width."""
        return self.low == self.high
