"""Interleaved timing of contenders, and ratios of their times round by round."""

import gc
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dsx.conv import Run, default_clock, medians
from dsx.measure.timing import median_interval

Round = Mapping[str, float]
"""Seconds of one call of each contender that took part in a round."""

BLOCK_SECONDS = 0.002
"""Least duration of a block of calls, which is long compared with the resolution of the clocks."""
SLOW_SECONDS = 0.05
"""Duration of a call from which one call is a block and needs no warm-up after the check of its
output."""
LEAST_OTHERS = 2
"""Number of rounds after which a slow contender is left out."""
LEAST_INTERVAL = 6
"""Number of rounds from which a 95 % interval of a median exists: its widest one, from the minimum
to the maximum, contains the median with a probability of 1 - 2 / 2^n, 94 % for five rounds."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The effort for one case.

    Args:
        seconds: Duration after which no new round starts, and a contender is left out.
        least: Minimum number of rounds, regardless of the duration; an interval requires
            `LEAST_INTERVAL`.
        most: Maximum number of rounds.
    """

    seconds: float
    least: int
    most: int


EFFORT = Effort(seconds=0.4, least=LEAST_INTERVAL, most=25)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The median of the ratios of the times of two contenders over their common rounds.

    Args:
        value: The median.
        low: Lower end of its 95 % interval; None if there are too few rounds for an interval.
        high: Upper end of its 95 % interval; None if there are too few rounds for an interval.
        rounds: Number of common rounds; 0 if the contenders are identical and were not timed.
    """

    value: float
    low: float | None
    high: float | None
    rounds: int

    @classmethod
    def of(cls, rounds: Sequence[Round], one: str, other: str) -> "Ratio":
        """Compute the ratio from the rounds in which both contenders took part.

        Args:
            rounds: The rounds.
            one: Name of the contender whose time is divided.
            other: Name of the contender by whose time it is divided.

        Returns:
            The ratio.
        """
        ratios = [each[one] / each[other] for each in rounds if one in each and other in each]
        value, low, high = median_interval(ratios)
        if len(ratios) < LEAST_INTERVAL:
            return cls(value=value, low=None, high=None, rounds=len(ratios))
        return cls(value=value, low=low, high=high, rounds=len(ratios))


IDENTITY = Ratio(value=1.0, low=1.0, high=1.0, rounds=0)


def time_rounds(
    runs: Mapping[str, Run], effort: Effort, always: Collection[str]
) -> list[dict[str, float]]:
    """Time blocks of calls of several contenders in round-robin order.

    The clock is CPU time of the thread for one thread of torch, else wall time.

    Args:
        runs: Callable of each contender.
        effort: Effort of the timing.
        always: Names of the contenders that take part in every round.

    Returns:
        The rounds. Another contender that exceeds the duration takes part in the first rounds only.
    """
    begin = time.perf_counter()
    spent = dict.fromkeys(runs, 0.0)
    with _without_collection():
        first = {name: _block(run, 1) for name, run in runs.items()}
        # Calls that are all slow are a round already.
        rounds = [first] if min(first.values()) > SLOW_SECONDS else []
        calls = {name: _calls(run, first[name]) for name, run in runs.items()}
        for number in range(len(rounds), effort.most):
            if number >= effort.least and time.perf_counter() - begin > effort.seconds:
                break
            rounds.append({})
            for name, run in runs.items():
                if name in always or number < LEAST_OTHERS or spent[name] < effort.seconds:
                    seconds = rounds[-1][name] = _block(run, calls[name])
                    spent[name] += seconds * calls[name]
    return rounds


def time_briefly(runs: Sequence[Run], seconds: float) -> list[float]:
    """Measure the time of a call; calls that are slow are timed once, without a warm-up.

    Args:
        runs: Callables to time.
        seconds: Time budget in seconds for the other calls.

    Returns:
        The seconds of a slow call, and the median of the seconds of another call.
    """
    times = [_block(run, 1) for run in runs]
    fast = [number for number, first in enumerate(times) if first <= SLOW_SECONDS]
    # Without callables, `medians` would wait for the end of the time.
    found = medians([runs[number] for number in fast], seconds) if fast else []
    for number, median in zip(fast, found, strict=True):
        times[number] = median
    return times


def _calls(run: Run, seconds: float) -> int:
    """Return the number of calls of a block, given the duration of the first call."""
    if seconds > SLOW_SECONDS:
        return 1
    return max(1, round(BLOCK_SECONDS / max(_block(run, 1), 1e-6)))


def _block(run: Run, calls: int) -> float:
    """Return the mean seconds of a call."""
    clock = default_clock()
    begin = clock()
    for _ in range(calls):
        run()
    return (clock() - begin) / 1e9 / calls


@contextmanager
def _without_collection() -> Iterator[None]:
    """Disable the collection of garbage, which would interrupt one contender at random."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
