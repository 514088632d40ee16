"""Numbers as people write them.

A unit is of one of three kinds. A share (`SHARES`) is shown in per cent. A symbol of at most three
letters (ms, MB, mJ) stands beside the number. Anything else counts things (multiply-adds, bit, or
no unit at all): the number gets a prefix (k, M, G, T), and the unit stands once, in a heading.
"""

import math
from dataclasses import dataclass
from typing import Literal

from dsx.analysis import SHARES, Estimate

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_LONGEST_SYMBOL = 3

DOUBTS = {
    "unconverged": ("~", "time budget exhausted before the interval converged"),
    "noisy": ("!", "measured while other processes loaded the machine"),
    "at_chance": ("^", "not better than always predicting the most frequent class"),
}
"""What may be wrong with a number: its mark, and what the mark means."""

Kind = Literal["share", "symbol", "count"]


def kind(unit: str) -> Kind:
    """Tell how numbers of a unit are written."""
    if unit in SHARES:
        return "share"
    return "symbol" if 0 < len(unit) <= _LONGEST_SYMBOL and unit != "bit" else "count"


def human(value: float, unit: str) -> str:
    """Write a number to about three digits.

    Args:
        value: Any number but NaN.
        unit: Its unit.

    Returns:
        Such as "313.2 M", "0.412 ms", "98.6 %" or "577".
    """
    scale = _Scale.of(value, unit)
    return scale.write(f"{value * scale.factor:.{scale.decimals}f}")


def human_interval(value: Estimate, unit: str) -> str:
    """Write a measured number with its uncertainty.

    Args:
        value: The number; of an uneven interval the wider half counts.
        unit: Its unit.

    Returns:
        Such as "0.412 ±0.012 ms"; without the interval where it is exact or infinite.
    """
    if value.exact or not math.isfinite(value.value):
        return human(value.value, unit)
    scale = _Scale.of(value.value, unit)
    half = max(value.high - value.value, value.value - value.low) * scale.factor
    number = f"{value.value * scale.factor:.{scale.decimals}f}"
    # One digit says enough of an uncertainty, but 1 could be anything up to 2.
    digits = 2 if f"{half:e}".startswith("1") else 1
    return scale.write(f"{number} ±{half:.{_decimals(half, digits)}f}")


def without_unit(value: Estimate, unit: str) -> str:
    """Write a number with its uncertainty for a column whose heading states the unit.

    Args:
        value: The number.
        unit: Its unit.

    Returns:
        Such as "0.412 ±0.012" or "313.2 M": the prefix of a count stays.
    """
    text = human_interval(value, unit)
    return text if kind(unit) == "count" else text.removesuffix(f" {shown_unit(unit)}")


def shown_unit(unit: str) -> str:
    """Return the unit as it is shown after a number; empty for counts."""
    return {"share": "%", "symbol": unit, "count": ""}[kind(unit)]


def told(value: Estimate, unit: str) -> str:
    """Write a measured number with all that is known of it.

    Args:
        value: The number.
        unit: Its unit.

    Returns:
        Such as "97.5 ±1.2 % of 3 seeds" or "0.412 ±0.030 ms~".
    """
    return human_interval(value, unit) + of_seeds(value) + doubts(value)


def of_seeds(value: Estimate) -> str:
    """Say over how many seeds a number is averaged: " of 3 seeds"; nothing of a single one."""
    return f" of {value.seeds} seeds" if value.seeds > 1 else ""


def doubts(value: Estimate) -> str:
    """Mark a number that was measured under bad conditions, as `DOUBTS` explains."""
    return "".join(mark for name, (mark, _) in DOUBTS.items() if getattr(value, name))


def relative(value: float, baseline: float, unit: str) -> str:
    """Compare a number with that of the baseline.

    Args:
        value: The number.
        baseline: The baseline's.
        unit: Their unit.

    Returns:
        "63%" of it, or "+0.4 pt" for shares; nothing where there is no ratio.
    """
    if not (math.isfinite(value) and math.isfinite(baseline)):
        return ""
    if kind(unit) == "share" or unit == "%":
        points = round((value - baseline) * _Scale.of(value, unit).factor, 1)
        return f"{points:+.1f} pt" if points else "0.0 pt"
    if baseline == 0:
        return ""
    percent = 100 * value / baseline
    return f"{percent:.0f}%" if abs(percent) >= 9.95 else f"{percent:.1f}%"


def change(value: Estimate, baseline: Estimate, unit: str) -> str:
    """Describe the difference between a value and that of the baseline.

    Args:
        value: Value of a design.
        baseline: Value of the baseline.
        unit: Unit of both values.

    Returns:
        Such as "26 % lower", "1.5 % of the baseline's", "-0.6 points" for shares, or "unchanged";
        with the remark that the 95 % intervals overlap, where they do. Empty where there is no
        ratio.
    """
    if not (math.isfinite(value.value) and math.isfinite(baseline.value)):
        return ""
    if value.value == baseline.value:
        return "unchanged"
    if kind(unit) == "share" or unit == "%":
        points = (value.value - baseline.value) * _Scale.of(value.value, unit).factor
        text = f"{points:+.1f} points" if abs(points) >= 0.05 else f"{points:+.1g} points"
    elif baseline.value <= 0 or value.value < 0:
        return ""
    else:
        text = _relative_change(value.value / baseline.value)
    overlapping = value.low <= baseline.high and baseline.low <= value.high
    return f"{text} (intervals overlap)" if overlapping else text


def _relative_change(ratio: float) -> str:
    if ratio < 0.1:
        return f"{100 * ratio:.2g} % of the baseline's"
    percent = 100 * abs(1 - ratio)
    number = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.2g}"
    return f"{number} % {'lower' if ratio < 1 else 'higher'}"


def heading(name: str, unit: str) -> str:
    """Name a metric and its unit, for an axis.

    Args:
        name: The metric's name, `latency_ms`.
        unit: Its unit.

    Returns:
        Such as "latency (ms)", "accuracy (%)" or "flops (multiply-adds)".
    """
    shown = shown_unit(unit) or counted(name, unit)
    said = title(name, unit)
    return f"{said} ({shown})" if shown else said


def title(name: str, unit: str) -> str:
    """Name a metric without its unit: "latency" for `latency_ms`."""
    return name.removesuffix(f"_{unit.lower()}").replace("_", " ")


def counted(name: str, unit: str) -> str:
    """Say what a metric counts, which its numbers do not: "multiply-adds".

    Args:
        name: The metric's name.
        unit: Its unit.

    Returns:
        The unit; nothing where the numbers carry it or the name says as much, as for `bits`.
    """
    same = title(name, unit).removesuffix("s") == unit.removesuffix("s")
    return unit if kind(unit) == "count" and not same else ""


def tick(value: float, unit: str) -> str:
    """Write a round number for an axis whose heading says the unit: "20 M", "98.5", "0.4"."""
    scale = _Scale.of(value, unit)
    number = f"{value * scale.factor:.6g}"
    return scale.write(number) if kind(unit) == "count" else number


@dataclass(frozen=True, kw_only=True)
class _Scale:
    factor: float
    suffix: str
    decimals: int

    @staticmethod
    def of(value: float, unit: str) -> "_Scale":
        if kind(unit) == "share":
            return _Scale(factor=100.0, suffix="%", decimals=1)
        if kind(unit) == "symbol":
            return _Scale(factor=1.0, suffix=unit, decimals=_decimals(value, 3))
        for size, prefix in _PREFIXES:
            # What would be rounded to 1000.0 k is 1.00 M.
            if math.isfinite(value) and abs(value) >= 0.99995 * size:
                decimals = 2 if abs(value) < 9.995 * size else 1
                return _Scale(factor=1 / size, suffix=prefix, decimals=decimals)
        whole = not math.isfinite(value) or value == int(value)
        return _Scale(factor=1.0, suffix="", decimals=0 if whole else _decimals(value, 3))

    def write(self, number: str) -> str:
        return f"{number} {self.suffix}".rstrip()


def _decimals(value: float, digits: int) -> int:
    """Count the decimals that show so many significant digits."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)
