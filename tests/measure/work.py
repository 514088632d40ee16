"""Work of a given duration in CPU time of the thread."""

import time
from collections.abc import Callable, Sequence


def spin(seconds: float) -> None:
    """Use the given CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Counting:
    """Work that counts its calls.

    Args:
        seconds: CPU time of each call; the last one also applies to all further calls.
        seen: Function that is called with the name at each call.
        name: Name of the work.
    """

    def __init__(
        self,
        *seconds: float,
        seen: Callable[[str], None] = lambda name: None,
        name: str = "",
    ) -> None:
        self.seconds: Sequence[float] = seconds
        self.seen, self.name = seen, name
        self.calls = 0

    def __call__(self) -> None:
        self.seen(self.name)
        spin(self.seconds[min(self.calls, len(self.seconds) - 1)])
        self.calls += 1
