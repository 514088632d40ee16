"""Metrics outside dsx, one of each stage."""

import itertools

from dsx.measure import Candidate, Measurement, Metric
from dsx.measure.candidate import training_facts
from dsx.measure.metrics.accuracy import measure_accuracy

_TURNS = itertools.count()


def _watts(candidate: Candidate) -> Measurement:
    """Return values that differ more between readings than between designs."""
    candidate.run()
    value = 2.0 + candidate.cost.params / 1e6 + 0.1 * (next(_TURNS) % 2)
    return Measurement(value=value, low=value / 2, high=value * 2)


def _error(candidate: Candidate) -> Measurement:
    found = measure_accuracy(candidate, candidate.trained())
    return Measurement(value=1 - found.value, low=1 - found.high, high=1 - found.low)


def _guess(candidate: Candidate) -> Measurement:
    found = measure_accuracy(candidate, candidate.build().eval())
    return Measurement(value=1 - found.value, low=1 - found.value, high=1 - found.value)


WATTS = Metric(
    unit="W",
    direction="minimize",
    stage="timed",
    read=_watts,
    protocol=lambda space: {"version": 1},
)
ERROR = Metric(
    unit="fraction", direction="minimize", stage="trained", read=_error, protocol=training_facts
)
GUESS = Metric(
    unit="fraction",
    direction="minimize",
    stage="projected",
    read=_guess,
    protocol=lambda space: {"version": 1},
)
SLOTS = Metric(
    unit="",
    direction="minimize",
    stage="static",
    read=lambda candidate: Measurement(value=len(candidate.design.changed), low=0, high=9),
    protocol=lambda space: {"version": 1},
)
