"""Bounds on metrics, absolute or relative to the baseline."""

import re
from dataclasses import dataclass
from fractions import Fraction

from dsx.errors import quoted

_UNITS = {"": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9)}
_UNITS["%"] = Fraction(1, 100)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Bound on a metric.

    Args:
        at_most: Whether the limit is an upper bound; otherwise it is a lower bound.
        limit: Limit in the unit of the metric, or as a fraction of the value of the baseline.
        relative: Whether the limit is a fraction of the value of the baseline.
    """

    at_most: bool
    limit: float
    relative: bool

    def violation(self, value: float, baseline: float) -> float:
        """Compute the amount by which a value exceeds the bound.

        Args:
            value: Value of the metric.
            baseline: Value of the metric for the baseline.

        Returns:
            Positive if the bound is violated, zero or negative otherwise.
        """
        limit = self.limit
        if self.relative:
            # Exact arithmetic: 29 of 100 satisfies "<= 29%", but 0.29 * 100 < 29 in floats.
            limit = float(Fraction(str(self.limit)) * Fraction(baseline))
        return value - limit if self.at_most else limit - value


def parse_bound(text: str) -> Bound:
    """Parse a bound from the text of a space file.

    Args:
        text: "<= 80%" (of the baseline), "<= 2.5M", ">= 0.97".

    Returns:
        The bound.

    Raises:
        ValueError: If the text has another form.
    """
    pattern = r"\s*(<=|>=)\s*((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,2})?)\s*([kMG%]?)\s*"
    match = re.fullmatch(pattern, str(text))
    if match is None:
        raise ValueError(
            f"{quoted(text)} is not a bound (write '<= 80%' of the baseline, or '<= 2.5M')"
        )
    sense, number, unit = match.groups()
    limit = float(Fraction(number) * _UNITS[unit])
    return Bound(at_most=sense == "<=", limit=limit, relative=unit == "%")
