"""Measurements: one measured value each, with its confidence interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsx.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One measured number and its making.

    Args:
        value: In the metric's unit.
        low: Lower end of the 95 % interval; the value itself where it is exact.
        high: Upper end.
        samples: What the value was taken from, in the metric's unit.
        conditions: What else the number depends on, as plain JSON values.
    """

    value: float
    low: float
    high: float
    samples: Sequence[float] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain_fields(self)


def exact(value: float) -> Reading:
    """Make the reading of a number that was counted, not measured."""
    return Reading(value=value, low=value, high=value)
