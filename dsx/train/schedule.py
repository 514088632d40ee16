"""Learning rates over a training, as factors of the peak: functions of the step alone.

A schedule of torch, such as OneCycleLR, fixes the number of steps when it is made and restores that
number from a checkpoint. A training here may continue the checkpoint of a shorter one, with the
schedule of the longer one, so the factor is computed from the step and the number of steps alone;
the tests compare it with torch's.
"""

import math
from collections.abc import Callable, Mapping

Schedule = Callable[[int, int, float], float]
"""From the step, the number of steps and the share of warm-up to a part of the peak rate."""
FIRST_PART, LAST_PART = 1 / 25, 1 / 25 / 1e4


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Rise along half a cosine from a 25th of the peak, and fall to almost nothing.

    Args:
        step: From 0.
        steps: Of the whole training.
        warm_up: Share of them that the rise takes.

    Returns:
        The part of the peak rate.

    Source:
        L. N. Smith and N. Topin, Super-convergence (arXiv 1708.07120), as torch's OneCycleLR writes
        it down; the momentum stays as it is.
    """
    top, end = warm_up * steps - 1, steps - 1
    if step <= top:
        return _between(FIRST_PART, 1.0, step / top if top else 1.0)
    return _between(1.0, LAST_PART, (step - top) / (end - top))


def cosine(step: int, steps: int, warm_up: float) -> float:
    """Rise in equal parts, and fall along half a cosine.

    Args:
        step: From 0.
        steps: Of the whole training.
        warm_up: Share of them that the rise takes.

    Returns:
        The part of the peak rate.

    Source:
        I. Loshchilov and F. Hutter, SGDR (arXiv 1608.03983), without restarts; warm-up as in
        P. Goyal et al., Accurate, large minibatch SGD (arXiv 1706.02677).
    """
    rise = int(warm_up * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return _between(1.0, 0.0, (step - rise) / (steps - rise))


def falling(step: int, steps: int, end: float) -> float:
    """Fall in equal parts to nothing.

    Args:
        step: From 0.
        steps: Of the whole training.
        end: Share of them after which nothing is left.

    Returns:
        The part of the peak rate.
    """
    return max(0.0, 1 - step / (end * steps)) if end else 0.0


def _between(first: float, last: float, share: float) -> float:
    """Go from one number to another along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: Mapping[str, Schedule] = {"one_cycle": one_cycle, "cosine": cosine}
