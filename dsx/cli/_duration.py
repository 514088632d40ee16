"""Durations on the command line, such as 90s, 5m or 2h."""

import math
import re

from dsx.errors import DsxError, quoted

LONGEST_SECONDS = 10_000 * 3600
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, text: str) -> float:
    """Parse a duration.

    Args:
        option: Name of the option, for the error message.
        text: Duration such as "90", "90s", "5m" or "1.5h".

    Returns:
        The duration in seconds.

    Raises:
        DsxError: If the text is not a duration, or the duration is too long.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text.strip())
    time = float(match[1]) * _UNITS[match[2]] if match else math.inf
    if time > LONGEST_SECONDS:
        allowed = "allowed: 90s, 5m, 2h, up to 10000h"
        raise DsxError(f"{option}: {quoted(text)} is not a duration ({allowed})")
    return time
