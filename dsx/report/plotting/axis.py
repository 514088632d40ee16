"""Axis of a plot: its range, scale and ticks."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A linear or logarithmic axis of a plot in the terminal."""

    low: float
    high: float
    log: bool
    unit: str

    @staticmethod
    def over(values: list[float], unit: str, *, log: bool) -> "Axis":
        """Build an axis that spans some values.

        Args:
            values: At least one finite value.
            unit: Unit of the values.
            log: Whether the axis is logarithmic, which requires positive values.

        Returns:
            The axis; linear and with a margin if all values are equal.
        """
        low, high = min(values), max(values)
        if low == high:
            room = abs(low) / 10 or 1.0
            return Axis(low=low - room, high=high + room, log=False, unit=unit)
        return Axis(low=low, high=high, log=log, unit=unit)

    def cell(self, value: float, cells: int) -> int:
        """Compute the cell of a value.

        Args:
            value: Value within the range.
            cells: Number of cells.

        Returns:
            A number from 0 to cells - 1.
        """
        low, high, at = (
            (math.log(self.low), math.log(self.high), math.log(value))
            if self.log
            else (self.low, self.high, value)
        )
        return round((at - low) / (high - low) * (cells - 1))

    def ticks(self, most: int) -> list[float]:
        """List the ticks of the axis.

        Args:
            most: Approximate maximum number of ticks, at least 2.

        Returns:
            Round numbers within the range; the ends of a logarithmic range without round numbers.
        """
        if self.log:
            # LogLocator of Matplotlib limits the number of decades instead of ticks, so that labels
            # would overlap in a terminal.
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
                found = [digit * 10.0**ten for ten in tens[::every] for digit in digits]
                inside = [value for value in found if self.low <= value <= self.high]
                if 2 <= len(inside) <= most:
                    return inside
            return [self.low, self.high]
        # Imported here, because it takes 0.2 s and most commands do not need it.
        from matplotlib.ticker import MaxNLocator

        ticks = MaxNLocator(most).tick_values(self.low, self.high)
        return [float(value) for value in ticks if self.low <= value <= self.high]
