"""Read a time as people write it."""

import math
import re

from dsx.errors import DsxError, quoted

LONGEST_SECONDS = 10_000 * 3600
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, text: str) -> float:
    """Read a time.

    Args:
        option: That it was given with.
        text: "90", "90s", "5m" or "1.5h".

    Returns:
        Seconds.

    Raises:
        DsxError: If it has another form.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text.strip())
    time = float(match[1]) * _UNITS[match[2]] if match else math.inf
    if time > LONGEST_SECONDS:
        allowed = "allowed: 90s, 5m, 2h, up to 10000h"
        raise DsxError(f"{option}: {quoted(text)} is not a time ({allowed})")
    return time
