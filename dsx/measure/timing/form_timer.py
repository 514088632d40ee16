"""Race: time the forms of a convolution against each other, on a device that nobody disturbs."""

from collections.abc import Callable, Sequence

from dsx.conv import Run, Timer, medians
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.space.yaml import Measure


def timer(measure: Measure, on_lock_wait: Callable[[], None] | None = None) -> Timer:
    """Make the timer that `dsx.conv.deploy` chooses forms with.

    Args:
        measure: The `measure` of a space: device, threads, backend.
        on_lock_wait: Called if the device is not free at once.

    Returns:
        From callables and a budget in seconds to the median seconds of one call of each.
    """
    backend = find(Backend, measure.backend)
    clock = clock_for(measure.device, measure.threads, backend.clock if backend.races else "thread")

    def race(runs: Sequence[Run], seconds: float) -> list[float]:
        with exclusive(lock_name(measure.device), on_lock_wait):
            return medians(runs, seconds, lambda run: clock.time(run, 1).own / 1e3)

    return race
