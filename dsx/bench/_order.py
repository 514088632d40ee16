"""Order: whether two passes over the same designs put them into the same order."""

import bisect
import functools
import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np

from dsx.analysis import Numbers, ceiling, half_interval, pairs, tau
from dsx.bench._figures import Figure, Goal
from dsx.bench._networks import Networks
from dsx.measure import Measurement

PART = "order"
GOAL = Goal(sign=">=", bound=0.95)
PAIRS_GOAL = Goal(sign="<=", bound=0.025)
"""A tau of 0.95 is one pair out of forty the other way."""
STEP, STEPS = 0.0002, 1000
"""In which the noise that allows the goal is looked for, up to 20 %."""


def in_turn(timed: Networks, machine: str) -> list[Figure]:
    """Time all designs in turn, twice, and compare the orders.

    Args:
        timed: The designs; three or more.
        machine: "quiet" or "loaded".

    Returns:
        Kendall's tau of the two passes, and what bounds it.
    """
    passes = [timed.time(range(len(timed.runs))).readings for _ in range(2)]
    first, second = (_logs(readings) for readings in passes)
    mean, noise = (first + second) / 2, _noise([first, second])
    low, high = (np.log([getattr(r, end) for r in passes[0]]) for end in ("low", "high"))
    known = pairs(second, low, high)
    figure = functools.partial(
        Figure, PART, machine=machine, made_from=f"{len(mean)} designs, timed in turn"
    )
    return [
        figure("tau of two passes", tau(first, second), GOAL),
        figure("tau to be expected of two passes with such noise", limit(mean, noise)),
        figure("noise of a pass (standard deviation of log latency)", noise),
        figure("noise that allows the goal", allowed(mean)),
        figure("spread of the designs (standard deviation of log latency)", mean.std(ddof=1)),
        figure("designs whose slots all fell back to dense", timed.alike / len(mean)),
        figure(
            "pairs that the intervals of one pass tell apart, in the other order in the other",
            known.misordered / max(1, known.decided),
            PAIRS_GOAL,
            made_from=f"{known.decided} pairs",
        ),
    ]


def one_by_one(readings: Sequence[Sequence[Measurement]], machine: str) -> list[Figure]:
    """Compare the orders in which repeated readings put networks.

    Args:
        readings: Of each network, each of them timed by itself.
        machine: "quiet" or "loaded".

    Returns:
        Kendall's tau of two passes that follow each other: the mean; and their noise.
    """
    passes = [_logs(found) for found in zip(*readings, strict=True)]
    taus = [tau(first, second) for first, second in itertools.pairwise(passes)]
    made_from = f"{len(readings)} networks, {len(passes)} passes, timed one by one"
    words = {
        "tau of two passes": statistics.fmean(taus),
        "noise of a pass (standard deviation of log latency)": _noise(passes),
    }
    return [
        Figure(part=PART, machine=machine, figure=figure, value=value, made_from=made_from)
        for figure, value in words.items()
    ]


def _logs(readings: Sequence[Measurement]) -> Numbers:
    return np.log([reading.value for reading in readings])


def _noise(passes: Sequence[Numbers]) -> float:
    """Give the standard deviation from pass to pass, less what all designs have in common."""
    logs = np.array(passes)
    logs -= logs.mean(axis=0)
    logs -= logs.mean(axis=1, keepdims=True)
    freedom = (logs.shape[0] - 1) * (logs.shape[1] - 1)
    return math.sqrt(float((logs**2).sum()) / freedom)


def limit(logs: Numbers, noise: float) -> float:
    """Say what tau can be expected of two passes, by simulation.

    Args:
        logs: (n,) logarithms of the latencies.
        noise: Standard deviation of the normal distribution around each.

    Returns:
        The mean tau.
    """
    half = half_interval() * noise
    return ceiling(logs, logs - half, logs + half)


def allowed(logs: Numbers) -> float:
    """Say how much noise lets the goal be reached.

    Args:
        logs: (n,) logarithms of the latencies.

    Returns:
        The most noise with which the expected tau reaches it, in steps of 0.02 %; 0 if none.
    """

    def too_much(steps: int) -> bool:
        return not GOAL.met(limit(logs, steps * STEP))

    return bisect.bisect(range(1, STEPS), False, key=too_much) * STEP
