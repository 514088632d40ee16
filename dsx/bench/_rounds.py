"""Interleaved timing of contenders, and ratios of their times round by round."""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dsx.conv import Run, default_clock
from dsx.measure.timing import median_interval

Samples = Mapping[str, Sequence[float]]
"""Seconds of one call of each contender in each round."""

BLOCK_SECONDS = 0.002
"""Least duration of a block of calls, which is long compared with the resolution of the clocks."""
SLOW_SECONDS = 0.05
"""Duration of a call from which one call is a block, and one call is a sufficient warm-up."""
LEAST_OTHERS = 3
"""Number of rounds after which a slow contender is left out."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The effort for one case.

    Args:
        seconds: Duration after which no new round starts, and a contender is left out.
        least: Minimum number of rounds, regardless of the duration.
        most: Maximum number of rounds.
    """

    seconds: float
    least: int
    most: int


EFFORT = Effort(seconds=0.4, least=5, most=25)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The median of the ratios of the times of two contenders over all rounds.

    Args:
        value: The median.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        rounds: Number of rounds; 0 if the contenders are identical and were not timed.
    """

    value: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Ratio":
        """Compute the ratio from the times of the same rounds.

        Args:
            ours: Seconds of the first contender.
            theirs: Seconds of the second contender, in the first rounds if they are fewer.

        Returns:
            The ratio.
        """
        ratios = [one / other for one, other in zip(ours, theirs, strict=False)]
        value, low, high = median_interval(ratios)
        return cls(value=value, low=low, high=high, rounds=len(ratios))


IDENTITY = Ratio(value=1.0, low=1.0, high=1.0, rounds=0)


def time_rounds(runs: Mapping[str, Run], effort: Effort) -> dict[str, list[float]]:
    """Time blocks of calls of several contenders in round-robin order.

    The clock is CPU time of the thread for one thread of torch, else wall time.

    Args:
        runs: Callable of each contender, of which the first one takes part in every round.
        effort: Effort of the timing.

    Returns:
        Seconds of one call of each contender in each round. A contender that exceeds the duration
        takes part in the first rounds only.
    """
    first = next(iter(runs))
    calls = {name: _calls(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    begin = time.perf_counter()
    with _without_collection():
        for number in range(effort.most):
            if number >= effort.least and time.perf_counter() - begin > effort.seconds:
                break
            for name, run in runs.items():
                if name == first or number < LEAST_OTHERS or spent[name] < effort.seconds:
                    seconds = _block(run, calls[name])
                    samples[name].append(seconds)
                    spent[name] += seconds * calls[name]
    return samples


def _calls(run: Run) -> int:
    """Warm up, and return the number of calls of a block."""
    if _block(run, 1) > SLOW_SECONDS:
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
