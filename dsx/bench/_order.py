"""Agreement of the rankings of the same designs by two timing passes."""

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
"""A tau of 0.95 corresponds to one discordant pair out of forty."""
STEP, STEPS = 0.0002, 1000
"""Resolution and number of steps of the search for the allowed noise, up to 20 %."""


def compare_interleaved(timed: Networks, machine: str) -> list[Figure]:
    """Time all designs twice, interleaved, and compare the rankings.

    Args:
        timed: Three or more designs.
        machine: Condition of the machine, "idle" or "loaded".

    Returns:
        Kendall's tau of the two passes, and the figures that bound it.
    """
    passes = [timed.time(range(len(timed.runs))).readings for _ in range(2)]
    first, second = (_logs(readings) for readings in passes)
    mean, noise = (first + second) / 2, _noise([first, second])
    low, high = (np.log([getattr(r, end) for r in passes[0]]) for end in ("low", "high"))
    known = pairs(second, low, high)
    figure = functools.partial(
        Figure, PART, machine=machine, made_from=f"{len(mean)} designs, interleaved"
    )
    return [
        figure("tau of two passes", tau(first, second), GOAL),
        figure("expected tau of two passes with this noise", expected_tau(mean, noise)),
        figure("noise of a pass (standard deviation of log latency)", noise),
        figure("noise at which the goal is reached", allowed_noise(mean)),
        figure("spread of the designs (standard deviation of log latency)", mean.std(ddof=1)),
        figure("designs whose slots all fell back to dense", timed.all_dense / len(mean)),
        figure(
            "pairs decided by the intervals of one pass that are discordant in the other",
            known.misordered / max(1, known.decided),
            PAIRS_GOAL,
            made_from=f"{known.decided} pairs",
        ),
    ]


def compare_separate(readings: Sequence[Sequence[Measurement]], machine: str) -> list[Figure]:
    """Compare the rankings by repeated readings of networks that are timed one at a time.

    Args:
        readings: Readings of each network.
        machine: Condition of the machine, "idle" or "loaded".

    Returns:
        The mean of Kendall's tau of two consecutive passes, and the noise of a pass.
    """
    passes = [_logs(found) for found in zip(*readings, strict=True)]
    taus = [tau(first, second) for first, second in itertools.pairwise(passes)]
    made_from = f"{len(readings)} networks, {len(passes)} passes, timed one at a time"
    values = {
        "tau of two passes": statistics.fmean(taus),
        "noise of a pass (standard deviation of log latency)": _noise(passes),
    }
    return [
        Figure(part=PART, machine=machine, figure=figure, value=value, made_from=made_from)
        for figure, value in values.items()
    ]


def _logs(readings: Sequence[Measurement]) -> Numbers:
    return np.log([reading.value for reading in readings])


def _noise(passes: Sequence[Numbers]) -> float:
    """Return the standard deviation between passes without the part common to all designs."""
    logs = np.array(passes)
    logs -= logs.mean(axis=0)
    logs -= logs.mean(axis=1, keepdims=True)
    freedom = (logs.shape[0] - 1) * (logs.shape[1] - 1)
    return math.sqrt(float((logs**2).sum()) / freedom)


def expected_tau(logs: Numbers, noise: float) -> float:
    """Compute the expected value of Kendall's tau of two passes by simulation.

    Args:
        logs: Logarithms of the latencies, (n,).
        noise: Standard deviation of the normally distributed noise of each logarithm.

    Returns:
        The mean of tau.
    """
    half = half_interval() * noise
    return ceiling(logs, logs - half, logs + half)


def allowed_noise(logs: Numbers) -> float:
    """Compute the largest noise with which the expected tau meets the goal.

    Args:
        logs: Logarithms of the latencies, (n,).

    Returns:
        The standard deviation of the noise in steps of 0.02 %; 0 if no noise is allowed.
    """

    def misses_goal(steps: int) -> bool:
        return not GOAL.is_met(expected_tau(logs, steps * STEP))

    return bisect.bisect(range(1, STEPS), False, key=misses_goal) * STEP
