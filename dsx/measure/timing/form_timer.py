"""Timer for the selection of deployed forms."""

from collections.abc import Callable, Sequence

from dsx.conv import Run, Timer, medians
from dsx.lookup import find
from dsx.measure.backends import Backend
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.space.yaml import Measure


def timer(measure: Measure, on_lock_wait: Callable[[], None] | None = None) -> Timer:
    """Build the timer with which `dsx.conv.deploy` selects forms.

    Args:
        measure: The `measure` section of a space.
        on_lock_wait: Function that is called if another process holds the device lock.

    Returns:
        Function from callables and a budget in seconds to the median seconds of one call of each.
    """
    backend = find(Backend, measure.backend)
    clock = clock_for(
        measure.device, measure.threads, backend.clock if backend.times_forms else "thread"
    )

    def time_forms(runs: Sequence[Run], seconds: float) -> list[float]:
        with exclusive(lock_name(measure.device), on_lock_wait):
            return medians(runs, seconds, lambda run: clock.time(run, 1).own / 1e3)

    return time_forms
