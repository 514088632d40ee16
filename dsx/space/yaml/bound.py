"""Bound: a limit on a metric, absolute or relative to the baseline."""

import re
from dataclasses import dataclass
from fractions import Fraction

from dsx.errors import quoted

_UNITS = {"": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9)}
_UNITS["%"] = Fraction(1, 100)


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

    def violation(self, value: float, baseline: float) -> float:
        """Say by how much a value breaks the bound.

        Args:
            value: Of the metric.
            baseline: The baseline's value of the metric.

        Returns:
            Positive where the bound is broken, zero or negative where it is kept.
        """
        limit = self.limit
        if self.relative:
            # Exactly: 29 of 100 keeps "<= 29%", while in floats 0.29 * 100 is less than 29.
            limit = float(Fraction(str(self.limit)) * Fraction(baseline))
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
    pattern = r"\s*(<=|>=)\s*((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,2})?)\s*([kMG%]?)\s*"
    match = re.fullmatch(pattern, str(text))
    if match is None:
        raise ValueError(
            f"{quoted(text)} is not a bound "
            "(write '<= 80%' for a part of the baseline, or '<= 2.5M')"
        )
    sense, number, unit = match.groups()
    limit = float(Fraction(number) * _UNITS[unit])
    return Bound(at_most=sense == "<=", limit=limit, relative=unit == "%")
