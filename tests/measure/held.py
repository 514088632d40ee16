"""Whether a device is being timed on at the moment."""

import fcntl

from dsx.files.locks import try_lock
from dsx.measure.timing.device_lock import _file


def is_held(device: str) -> bool:
    """Say whether somebody times on a device now."""
    with _file(device, "gate") as gate:
        return not try_lock(gate, fcntl.LOCK_SH)
