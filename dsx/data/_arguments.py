"""Check the arguments of datasets, which come as they stand in a space file."""

import math
from collections.abc import Sequence
from pathlib import Path

from dsx.data._split import Normalisation
from dsx.errors import DsxError

SHOWN = 3
"""Problems of one kind that a message spells out."""


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number.

    Args:
        name: Name of the argument.
        value: As given.
        least: The smallest that is allowed.
        most: The largest that is allowed, if there is one.

    Returns:
        The number.

    Raises:
        DsxError: If it is something else.
    """
    # True is an int, too.
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"from {least}" + ("" if most is None else f" to {most}")
        raise DsxError(f"{name}: {value!r} (allowed: a whole number {limits})")
    return value


def share(name: str, value: object) -> float:
    """Check a share of something, more than nothing and less than all; arguments as `whole`."""
    if not isinstance(value, float | int) or not 0 < value < 1:
        raise DsxError(f"{name}: {value!r} (allowed: a number between 0 and 1)")
    return float(value)


def amount(name: str, value: object) -> float:
    """Check a finite number from 0; arguments as `whole`."""
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value < math.inf:
        raise DsxError(f"{name}: {value!r} (allowed: a number from 0)")
    return float(value)


def path(name: str, value: object) -> Path:
    """Check a path, and expand `~`; arguments as `whole`."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise DsxError(f"{name}: {value!r} (allowed: a path)")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise DsxError(f"{name}: {value!r}: {error}") from error


def given_normalisation(mean: object, deviation: object, channels: int) -> Normalisation | None:
    """Check a normalisation that is given, as published ones are, in units from 0 to 1.

    Args:
        mean: Mean of each channel, or None.
        deviation: Standard deviation of each channel, or None.
        channels: Number of channels.

    Returns:
        The normalisation of uint8 pixels, or None if none is given.

    Raises:
        DsxError: If one of the two is missing, or they are something else.
    """
    if mean is None and deviation is None:
        return None
    for name, other, value in (("mean", "deviation", mean), ("deviation", "mean", deviation)):
        if value is None:
            raise DsxError(f"{name}: missing, but {other} is given (allowed: both or none)")
        low, words = (0.0, "from 0 to 1") if name == "mean" else (1e-6, "above 0, up to 1")
        if not _are_numbers(value, channels, low):
            raise DsxError(
                f"{name}: {value!r} (allowed: {channels} numbers {words}, one for each channel)"
            )
    assert isinstance(mean, Sequence) and isinstance(deviation, Sequence)
    return Normalisation(mean=[255 * x for x in mean], deviation=[255 * x for x in deviation])


def _are_numbers(value: object, count: int, low: float) -> bool:
    if not isinstance(value, list | tuple) or len(value) != count:
        return False
    return all(type(x) in (int, float) and low <= x <= 1 for x in value)


def together(problems: Sequence[str]) -> str:
    """Say several problems in one line, the first ones in full."""
    rest = len(problems) - SHOWN
    return "; ".join(problems[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
