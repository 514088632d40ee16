"""Order: whether two passes over the same designs put them into the same order."""

import bisect
import math
import random
from collections.abc import Callable

import numpy as np

from dsx.bench._figures import Figure, Goal
from dsx.bench._networks import SEED, Networks
from dsx.study.rank import Numbers, ceiling, tau

PART = "order"
GOAL = Goal(sign=">=", bound=0.95)
HALF_INTERVAL = 1.96
"""Of a 95 % interval of the normal distribution, in standard deviations."""
STEP, STEPS = 0.0005, 400
"""In which the noise that allows the goal is looked for, up to 20 %."""

Pass = Callable[[Networks, random.Random], Numbers]


def in_turn(timed: Networks, rng: random.Random) -> Numbers:
    """Time all designs in turn, in the order in which they are.

    Args:
        timed: The designs.
        rng: Not asked.

    Returns:
        (n,) logarithms of their latencies.
    """
    del rng
    readings = timed.time(range(len(timed.runs))).readings
    return np.log([reading.value for reading in readings])


def one_by_one(timed: Networks, rng: random.Random) -> Numbers:
    """Time each design by itself, in an order of their own.

    Args:
        timed: The designs.
        rng: Shuffles.

    Returns:
        (n,) logarithms of their latencies.
    """
    order = list(range(len(timed.runs)))
    rng.shuffle(order)
    logs = np.empty(len(order))
    for number in order:
        logs[number] = math.log(timed.time([number]).readings[0].value)
    return logs


WAYS: dict[str, Pass] = {"timed in turn": in_turn, "timed one by one": one_by_one}


def compare(timed: Networks, way: str, machine: str) -> list[Figure]:
    """Time all designs twice, and compare the orders.

    Args:
        timed: The designs; three or more.
        way: How; the goal is for those that are timed in turn.
        machine: "quiet" or "loaded".

    Returns:
        Kendall's tau of the two passes, and what bounds it.
    """
    rng = random.Random(SEED)
    first, second = (WAYS[way](timed, rng) for _ in range(2))
    noise = float(np.std(first - second, ddof=1)) / math.sqrt(2)
    between = (first + second) / 2

    def figure(words: str, value: float, goal: Goal | None = None) -> Figure:
        return Figure(
            part=PART,
            machine=machine,
            figure=words,
            value=value,
            made_from=f"{len(first)} designs, {way}",
            goal=goal,
        )

    return [
        figure("tau of two passes", tau(first, second), GOAL if WAYS[way] is in_turn else None),
        figure("tau that noise of the measured size allows", limit(between, noise)),
        figure("noise of one pass (standard deviation of log latency)", noise),
        figure("noise that allows a tau of 0.95", allowed(between)),
        figure("spread of the designs (standard deviation of log latency)", float(between.std())),
    ]


def limit(logs: Numbers, noise: float) -> float:
    """Say what tau can be expected of two passes, by simulation.

    Args:
        logs: (n,) logarithms of the latencies.
        noise: Standard deviation of the normal distribution around each.

    Returns:
        The mean tau.
    """
    half = HALF_INTERVAL * noise
    return ceiling(logs, logs - half, logs + half)


def allowed(logs: Numbers) -> float:
    """Say how much noise lets the goal be reached.

    Args:
        logs: (n,) logarithms of the latencies.

    Returns:
        The least noise from which on the expected tau is below the goal.
    """
    step = bisect.bisect(
        range(1, STEPS), False, key=lambda steps: not GOAL.met(limit(logs, steps * STEP))
    )
    return (step + 1) * STEP
