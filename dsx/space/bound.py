"""Bound: a limit on a metric, absolute or relative to the baseline."""

import re
from dataclasses import dataclass

_SUFFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A bound on a metric.

    Args:
        at_most: Whether the metric may be at most the limit; else at least.
        limit: In the metric's unit, or a part of the baseline's value.
        relative: Whether the limit is a part of the baseline's value.
    """

    at_most: bool
    limit: float
    relative: bool

    def excess(self, value: float, baseline: float) -> float:
        """Say by how much a value breaks the bound.

        Args:
            value: Of the metric.
            baseline: The baseline's value of the metric.

        Returns:
            Positive where the bound is broken, zero or negative where it is kept.
        """
        limit = self.limit * baseline if self.relative else self.limit
        return value - limit if self.at_most else limit - value


def parse_bound(text: str) -> Bound:
    """Read a bound as people write it.

    Args:
        text: "<= 80%" (of the baseline), "<= 2.5M", ">= 0.97".

    Returns:
        The bound.

    Raises:
        ValueError: If it has another form.
    """
    match = re.fullmatch(r"\s*(<=|>=)\s*(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*([kMG%]?)\s*", str(text))
    if match is None:
        raise ValueError(
            f"'{text}' is not a bound (write '<= 80%' for a part of the baseline, or '<= 2.5M')"
        )
    sense, digits, exponent, suffix = match.groups(default="")
    factor = 0.01 if suffix == "%" else _SUFFIXES[suffix]
    return Bound(
        at_most=sense == "<=", limit=float(digits + exponent) * factor, relative=suffix == "%"
    )
