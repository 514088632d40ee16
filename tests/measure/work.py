"""Work to be timed that takes as long as it is told, by the clock of the thread."""

import time
from collections.abc import Callable, Sequence


def spin(seconds: float) -> None:
    """Keep the processor at work for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Counting:
    """Works, and remembers how often it was called.

    Args:
        seconds: CPU time of the calls; the last one is that of all further calls.
        seen: Told its name at each call.
        name: Its name.
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
