"""Check whether a device lock is held."""

import fcntl

from dsx.files.locks import try_lock
from dsx.measure.timing.device_lock import _file


def is_held(device: str) -> bool:
    """Check whether the exclusive lock of a device is held."""
    with _file(device, "gate") as gate:
        return not try_lock(gate, fcntl.LOCK_SH)
