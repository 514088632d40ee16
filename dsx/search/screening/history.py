"""The measured designs of a study, as the models of screening take them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsx.analysis import Measurement, half_interval
from dsx.search.screening.tables import Rows, Values

FIRST_LOSS = "first training loss"
"""Name of the hint that is the logarithm of the training loss of the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One value of a metric of a design.

    Args:
        value: Value in the unit of the metric.
        error: Standard error of the value; 0 if it is exact.
        examples: Number of examples of which the value is the mean result; None if unknown.
    """

    value: float
    error: float = 0.0
    examples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """A design of which some values are measured.

    Args:
        row: (slots,) numbers of settings.
        readings: Readings by metric.
        hints: Further values by name that are related to an objective, such as the training loss
            of the first epoch.
        feasible: Whether the design violates no constraint, as far as known.
        stopped: Whether its training was stopped, so that it can be proposed again.
    """

    row: Rows
    readings: Mapping[str, Reading]
    hints: Mapping[str, float] = field(default_factory=dict)
    feasible: bool = True
    stopped: bool = False


def reading_of(measurement: Measurement) -> Reading:
    """Convert a measurement.

    Args:
        measurement: Measurement of a metric.

    Returns:
        Its value with the standard error.
    """
    examples = measurement.examples
    return Reading(
        value=measurement.value,
        error=(measurement.high - measurement.low) / (2 * half_interval()),
        examples=None if examples is None else len(examples.values),
    )


def hints_of(measurements: Iterable[Measurement]) -> dict[str, float]:
    """Collect the values that are related to an objective before it is measured.

    Args:
        measurements: Measurements of one design.

    Returns:
        The logarithm of the training loss of the first epoch, if there is one, by name.
    """
    found: dict[str, float] = {}
    for each in measurements:
        predictions = each.provenance.predictions
        if predictions is not None and predictions.losses is not None:
            found |= first_loss(predictions.losses)
    return found


def first_loss(losses: Sequence[float]) -> dict[str, float]:
    """Return the hint in the losses of a training.

    Args:
        losses: Mean loss of each completed epoch.

    Returns:
        Its name and value; empty without a positive loss.
    """
    return {FIRST_LOSS: math.log(losses[0])} if losses and losses[0] > 0 else {}


def rows_of(designs: Sequence[Known], slots: int) -> Rows:
    """Stack the rows of designs.

    Args:
        designs: The designs; may be empty.
        slots: Number of columns.

    Returns:
        (n, slots) numbers of settings.
    """
    return np.array([each.row for each in designs], dtype=np.intp).reshape(len(designs), slots)


def having(designs: Iterable[Known], metric: str) -> list[Known]:
    """Return the designs with a reading of a metric.

    Args:
        designs: Designs to select from.
        metric: Name of the metric.
    """
    return [each for each in designs if metric in each.readings]


def values_of(designs: Sequence[Known], metric: str) -> Values:
    """Return the values of a metric.

    Args:
        designs: Designs with a reading of the metric.
        metric: Name of the metric.

    Returns:
        (n,) values.
    """
    return np.array([each.readings[metric].value for each in designs])
