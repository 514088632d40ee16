"""Validation of the arguments of datasets, as given in a space file."""

import math
from collections.abc import Sequence
from pathlib import Path

from dsx.data._split import Normalisation
from dsx.errors import DsxError

SHOWN = 3
"""Largest number of problems that one message lists."""


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check that an argument is an integer within limits.

    Args:
        name: Name of the argument.
        value: Value as given.
        least: Smallest allowed value.
        most: Largest allowed value; None if there is no limit.

    Returns:
        The integer.

    Raises:
        DsxError: If the value is not an integer within the limits.
    """
    # True is an instance of int.
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise DsxError(f"{name}: {value!r} (allowed: an integer {limits})")
    return value


def check_fraction(name: str, value: object) -> float:
    """Check that an argument is a number between 0 and 1, exclusive.

    Args:
        name: Name of the argument.
        value: Value as given.

    Returns:
        The number.

    Raises:
        DsxError: If the value is something else.
    """
    if not isinstance(value, float | int) or not 0 < value < 1:
        raise DsxError(f"{name}: {value!r} (allowed: a number between 0 and 1)")
    return float(value)


def check_non_negative(name: str, value: object) -> float:
    """Check that an argument is a finite number of at least 0.

    Args:
        name: Name of the argument.
        value: Value as given.

    Returns:
        The number.

    Raises:
        DsxError: If the value is something else.
    """
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value < math.inf:
        raise DsxError(f"{name}: {value!r} (allowed: a number of at least 0)")
    return float(value)


def check_path(name: str, value: object) -> Path:
    """Check that an argument is a path, and expand `~`.

    Args:
        name: Name of the argument.
        value: Value as given.

    Returns:
        The path.

    Raises:
        DsxError: If the value is something else, or the user after `~` does not exist.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise DsxError(f"{name}: {value!r} (allowed: a path)")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise DsxError(f"{name}: {value!r}: {error}") from error


def parse_normalisation(mean: object, deviation: object, channels: int) -> Normalisation | None:
    """Parse a normalisation whose values are in the range from 0 to 1, as published ones are.

    Args:
        mean: Mean of each channel, or None.
        deviation: Standard deviation of each channel, or None.
        channels: Number of channels.

    Returns:
        The normalisation of uint8 pixels, or None if none is given.

    Raises:
        DsxError: If only one of the two is given, or a value is not allowed.
    """
    if mean is None and deviation is None:
        return None
    for name, other, value in (("mean", "deviation", mean), ("deviation", "mean", deviation)):
        if value is None:
            raise DsxError(f"{name}: missing, but {other} is given (allowed: both or none)")
        low, limits = (0.0, "from 0 to 1") if name == "mean" else (1e-6, "above 0, up to 1")
        if not _are_numbers(value, channels, low):
            raise DsxError(
                f"{name}: {value!r} (allowed: {channels} numbers {limits}, one per channel)"
            )
    assert isinstance(mean, Sequence) and isinstance(deviation, Sequence)
    return Normalisation(mean=[255 * x for x in mean], deviation=[255 * x for x in deviation])


def _are_numbers(value: object, count: int, low: float) -> bool:
    if not isinstance(value, list | tuple) or len(value) != count:
        return False
    return all(type(x) in (int, float) and low <= x <= 1 for x in value)


def join_problems(problems: Sequence[str]) -> str:
    """Join several problems in one line, of which only the first ones are listed.

    Args:
        problems: Descriptions of the problems.

    Returns:
        The line, with the number of problems that are not listed.
    """
    rest = len(problems) - SHOWN
    return "; ".join(problems[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
