"""Whether a device is being timed on at the moment."""

import fcntl

from dsx.measure.lock import _file, _try


def is_held(device: str) -> bool:
    """Say whether somebody times on a device now."""
    with _file(device, "gate") as gate:
        return not _try(gate, fcntl.LOCK_SH)
