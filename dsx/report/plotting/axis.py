"""The axis of a plot: a range, round numbers in it, and whether it is logarithmic."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of numbers, linear or logarithmic, to be cut into cells."""

    low: float
    high: float
    log: bool
    unit: str

    @staticmethod
    def over(values: list[float], unit: str, *, log: bool) -> "Axis":
        """Span some numbers, with room beside a single one.

        Args:
            values: At least one finite number.
            unit: Their unit.
            log: Whether ratios matter more than differences; all values are positive then.

        Returns:
            An axis, linear where there is but one value.
        """
        low, high = min(values), max(values)
        if low == high:
            room = abs(low) / 10 or 1.0
            return Axis(low=low - room, high=high + room, log=False, unit=unit)
        return Axis(low=low, high=high, log=log, unit=unit)

    def cell(self, value: float, cells: int) -> int:
        """Find the cell of a number, 0 to cells - 1."""
        low, high, at = (
            (math.log(self.low), math.log(self.high), math.log(value))
            if self.log
            else (self.low, self.high, value)
        )
        return round((at - low) / (high - low) * (cells - 1))

    def ticks(self, most: int) -> list[float]:
        """List round numbers inside the range.

        Args:
            most: About how many at most, at least 2.

        Returns:
            One or more numbers; the ends of a logarithmic range that holds no round ones.
        """
        if self.log:
            # matplotlib's LogLocator limits the number of decades, not that of ticks, so that
            # labels would overlap in a terminal.
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
                found = [digit * 10.0**ten for ten in tens[::every] for digit in digits]
                inside = [value for value in found if self.low <= value <= self.high]
                if 2 <= len(inside) <= most:
                    return inside
            return [self.low, self.high]
        # Imported here, because it takes 0.2 s, which commands without a plot need not wait for.
        from matplotlib.ticker import MaxNLocator

        ticks = MaxNLocator(most).tick_values(self.low, self.high)
        return [float(value) for value in ticks if self.low <= value <= self.high]
