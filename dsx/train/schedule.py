"""Schedules of the learning rate, as factors of the peak that depend only on the step.

A schedule of torch, such as OneCycleLR, fixes the number of steps at its construction and restores
that number from a checkpoint. Here a training may continue a shorter one with the schedule of the
longer one, so the factor is a function of the step and the number of steps. The tests compare it
with torch.
"""

import math
from collections.abc import Callable, Mapping

Schedule = Callable[[int, int, float], float]
"""Function of the step, the number of steps and the fraction of warm-up; returns the factor."""
INITIAL_FACTOR, FINAL_FACTOR = 1 / 25, 1 / 25 / 1e4


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Compute the one-cycle schedule: cosine warm-up from 1/25, followed by cosine annealing.

    Args:
        step: Index of the step, starting from 0.
        steps: Number of steps of the whole training.
        warm_up: Fraction of the steps for the warm-up.

    Returns:
        The learning rate as a fraction of its peak.

    Source:
        L. N. Smith and N. Topin, Super-convergence (arXiv 1708.07120), as in OneCycleLR of torch,
        with constant momentum.
    """
    top, end = warm_up * steps - 1, steps - 1
    if step <= top:
        return _cosine_interpolation(INITIAL_FACTOR, 1.0, step / top if top else 1.0)
    return _cosine_interpolation(1.0, FINAL_FACTOR, (step - top) / (end - top))


def cosine(step: int, steps: int, warm_up: float) -> float:
    """Compute the cosine schedule: linear warm-up followed by cosine annealing.

    Args:
        step: Index of the step, starting from 0.
        steps: Number of steps of the whole training.
        warm_up: Fraction of the steps for the warm-up.

    Returns:
        The learning rate as a fraction of its peak.

    Source:
        I. Loshchilov and F. Hutter, SGDR (arXiv 1608.03983), without restarts; warm-up as in
        P. Goyal et al., Accurate, large minibatch SGD (arXiv 1706.02677).
    """
    rise = int(warm_up * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return _cosine_interpolation(1.0, 0.0, (step - rise) / (steps - rise))


def linear_decay(step: int, steps: int, end: float) -> float:
    """Compute a linear decay to zero.

    Args:
        step: Index of the step, starting from 0.
        steps: Number of steps of the whole training.
        end: Fraction of the steps after which the factor is zero.

    Returns:
        The learning rate as a fraction of its peak.
    """
    return max(0.0, 1 - step / (end * steps)) if end else 0.0


def _cosine_interpolation(first: float, last: float, progress: float) -> float:
    """Interpolate between two numbers along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


SCHEDULES: Mapping[str, Schedule] = {"one_cycle": one_cycle, "cosine": cosine}
