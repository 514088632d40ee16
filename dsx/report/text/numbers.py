"""Human-readable numbers with units, intervals and flags.

A unit is of one of three kinds. A share (`SHARES`) is shown in per cent. A symbol of at most three
letters (ms, MB, mJ) follows the number. Any other unit (multiply-adds, bit, or none) is that of a
count: the number has a prefix (k, M, G, T), and the unit is only shown in a heading or a note.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dsx.analysis import SHARES, Estimate

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_LONGEST_SYMBOL = 3

FLAGS = {
    "unconverged": ("~", "time budget exhausted before the interval converged"),
    "noisy": ("!", "measured while other processes loaded the machine"),
    "at_chance": ("^", "not better than always predicting the most frequent class"),
}
"""Property of an estimate to the sign that flags it, and the meaning of the sign."""

Kind = Literal["share", "symbol", "count"]


def kind(unit: str) -> Kind:
    """Return the kind of a unit.

    Args:
        unit: The unit.

    Returns:
        "share", "symbol" or "count".
    """
    if unit in SHARES:
        return "share"
    return "symbol" if 0 < len(unit) <= _LONGEST_SYMBOL and unit != "bit" else "count"


def human(value: float, unit: str) -> str:
    """Format a number to about three significant digits.

    Args:
        value: Any number except NaN.
        unit: Unit of the number.

    Returns:
        Such as "313.2 M", "0.412 ms", "98.6 %" or "577".
    """
    scale = _Scale.of(value, unit)
    return scale.write(f"{value * scale.factor:.{scale.decimals}f}")


def human_interval(value: Estimate, unit: str) -> str:
    """Format an estimate with its uncertainty.

    Args:
        value: The estimate; if its interval is asymmetric, the wider half is shown.
        unit: Unit of the estimate.

    Returns:
        Such as "0.412 ±0.012 ms"; without the interval if the value is exact or infinite.
    """
    if value.exact or not math.isfinite(value.value):
        return human(value.value, unit)
    scale = _Scale.of(value.value, unit)
    half = max(value.high - value.value, value.value - value.low) * scale.factor
    number = f"{value.value * scale.factor:.{scale.decimals}f}"
    # An uncertainty is rounded to one digit, or to two if the first one is 1.
    digits = 2 if f"{half:e}".startswith("1") else 1
    return scale.write(f"{number} ±{half:.{_decimals(half, digits)}f}")


def without_unit(value: Estimate, unit: str) -> str:
    """Format an estimate for a column whose heading states the unit.

    Args:
        value: The estimate.
        unit: Unit of the estimate.

    Returns:
        Such as "0.412 ±0.012" or, for a count, "313.2 M".
    """
    text = human_interval(value, unit)
    return text if kind(unit) == "count" else text.removesuffix(f" {unit_symbol(unit)}")


def unit_symbol(unit: str) -> str:
    """Return the symbol that follows a number.

    Args:
        unit: Unit of the number.

    Returns:
        The symbol; empty for counts.
    """
    return {"share": "%", "symbol": unit, "count": ""}[kind(unit)]


def annotated(value: Estimate, unit: str) -> str:
    """Format an estimate with its uncertainty, number of seeds and flags.

    Args:
        value: The estimate.
        unit: Unit of the estimate.

    Returns:
        Such as "97.5 ±1.2 % of 3 seeds" or "0.412 ±0.030 ms~".
    """
    seeds = f" of {value.seeds} seeds" if value.seeds > 1 else ""
    return human_interval(value, unit) + seeds + flag_signs(value)


def flag_signs(value: Estimate) -> str:
    """Return the signs of the flags of an estimate.

    Args:
        value: The estimate.

    Returns:
        Signs of `FLAGS`; empty if no flag applies.
    """
    return "".join(sign for name, (sign, _) in FLAGS.items() if getattr(value, name))


def flag_notes(values: Iterable[Estimate]) -> Iterator[str]:
    """Explain the flags of some values.

    Args:
        values: The values.

    Yields:
        A line for each flag that occurs.
    """
    shown = list(values)
    for name, (sign, meaning) in FLAGS.items():
        if any(getattr(value, name) for value in shown):
            yield f"{sign} {meaning}"


def relative(value: float, baseline: float, unit: str) -> str:
    """Format a number relative to that of the baseline.

    Args:
        value: The number.
        baseline: Number of the baseline.
        unit: Unit of both numbers.

    Returns:
        The ratio, such as "63%", or for shares the difference, such as "+0.4 pt"; empty if the
        ratio is undefined.
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


def change(value: Estimate, baseline: Estimate, unit: str, decided: bool) -> str:
    """Describe the difference between a value and that of the baseline.

    Args:
        value: Value of a design.
        baseline: Value of the baseline.
        unit: Unit of both values.
        decided: Whether the 95 % interval of the difference excludes 0.

    Returns:
        Such as "26 % lower", "1.5 % of the baseline's", "-0.6 points" for shares, or "unchanged",
        followed by "(undecided)" if it is; empty if the ratio is undefined.
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
    return text if decided else f"{text} (undecided)"


def _relative_change(ratio: float) -> str:
    if ratio < 0.1:
        return f"{100 * ratio:.2g} % of the baseline's"
    percent = 100 * abs(1 - ratio)
    number = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.2g}"
    return f"{number} % {'lower' if ratio < 1 else 'higher'}"


def heading(name: str, unit: str) -> str:
    """Return the heading of an axis: the metric and its unit.

    Args:
        name: Name of the metric, such as `latency_ms`.
        unit: Unit of the metric.

    Returns:
        Such as "latency (ms)", "accuracy (%)" or "flops (multiply-adds)".
    """
    shown = unit_symbol(unit) or counted_unit(name, unit)
    metric = title(name, unit)
    return f"{metric} ({shown})" if shown else metric


def title(name: str, unit: str) -> str:
    """Return the name of a metric without its unit.

    Args:
        name: Name of the metric, such as `latency_ms`.
        unit: Unit of the metric.

    Returns:
        Such as "latency".
    """
    return name.removesuffix(f"_{unit.lower()}").replace("_", " ")


def counted_unit(name: str, unit: str) -> str:
    """Return the unit of a count, which is not shown after its numbers.

    Args:
        name: Name of the metric.
        unit: Unit of the metric.

    Returns:
        Such as "multiply-adds"; empty for units that are shown after numbers, and if the name of
        the metric states the unit, as that of `bits`.
    """
    same = title(name, unit).removesuffix("s") == unit.removesuffix("s")
    return unit if kind(unit) == "count" and not same else ""


def tick(value: float, unit: str) -> str:
    """Format a tick label of an axis whose heading states the unit.

    Args:
        value: A round number.
        unit: Unit of the number.

    Returns:
        Such as "20 M", "98.5" or "0.4".
    """
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
            # A value that would be rounded to 1000.0 k is written as 1.00 M.
            if math.isfinite(value) and abs(value) >= 0.99995 * size:
                decimals = 2 if abs(value) < 9.995 * size else 1
                return _Scale(factor=1 / size, suffix=prefix, decimals=decimals)
        whole = not math.isfinite(value) or value == int(value)
        return _Scale(factor=1.0, suffix="", decimals=0 if whole else _decimals(value, 3))

    def write(self, number: str) -> str:
        return f"{number} {self.suffix}".rstrip()


def _decimals(value: float, digits: int) -> int:
    """Count the decimals that are needed for a number of significant digits."""
    if value == 0 or not math.isfinite(value):
        return 0
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)
