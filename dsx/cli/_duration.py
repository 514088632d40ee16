"""Read a time as people write it."""

import re

from dsx.errors import DsxError

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
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise DsxError(f"{option}: '{text}' is not a time (allowed: 90s, 5m, 2h)")
    return float(match[1]) * _UNITS[match[2]]
