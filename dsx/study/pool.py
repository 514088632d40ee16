"""Pool: one number with one honest interval from all that was read of a design.

A *timed* number (one with samples of its own) comes out otherwise every time, and its readings
under one protocol are pooled. Any other number is the same every time under one protocol, so that
of several readings the newest counts. Protocols that differ in nothing but the training seed are a
family: each seed gives a number of its own, and these are averaged.

**Readings.** Reading i says v_i and is unsure of itself by s_i, half its interval. Where the
machine stands differs from one reading to the next: v_i = truth + offset_i + error_i. How far the
offsets spread only the readings can tell. With d their standard deviation, in which offsets and
errors are both, their mean has the 95 % interval t d / sqrt(m), t being Student's quantile for
m - 1 degrees of freedom. A few readings may be alike by chance, so the interval is never narrower
than what the errors leave of it, sqrt(sum of s_i^2) / m. The value is the median, which one spoilt
reading does not move. The median of normal numbers scatters at most sqrt(pi / 2) times as much as
their mean, so the interval is that much wider (of two readings the median is the mean). All weigh
alike: readings of a busy machine, and those that are unsure of themselves (wide), count only where
there are no others.

**Seeds.** The value is the mean over the seeds. All seeds are judged on the same validation images,
so what chance lies in the choice of these images (the binomial interval of each seed) does not
shrink with the number k of seeds; what lies in the seeds does. The two are independent, so they
join in quadrature: sqrt(h^2 + (t d / sqrt(k))^2), h the mean of the seeds' own halves. With learned
shapes every number depends on the seed, and the same rule holds for all of them.
"""

import dataclasses
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsx.study.front import Value

SHARES = frozenset({"share", "fraction", "ratio", "top-1", "0..1", "0 to 1"})
"""Units of what lies between 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One stored reading.

    Args:
        order: Readings of a higher one were taken later.
        metric: Name of the metric.
        seed: Of the training that it depends on, if it does.
        value: In the metric's unit.
        low: Lower end of the 95 % interval.
        high: Upper end.
        timed: Whether it was taken from samples, and comes out otherwise every time.
        learned: Whether it depends on the training of learned shapes.
        conditions: What else it depends on, as plain JSON values.
    """

    order: int
    metric: str
    seed: int | None
    value: float
    low: float
    high: float
    timed: bool = False
    learned: bool = False
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wide(self) -> bool:
        """Whether the interval is wider than was asked for."""
        return bool(self.conditions.get("wide"))

    @property
    def busy(self) -> bool:
        """Whether the machine was busy with other work meanwhile."""
        return bool(self.conditions.get("busy"))


def pool(readings: Iterable[Stored], units: Mapping[str, str]) -> dict[str, Value]:
    """Pool all readings of a design.

    Args:
        readings: On one device, under protocols of one family for each metric.
        units: Metric to unit; what is a share lies between 0 and 1, and so does its interval.

    Returns:
        Metric to number.
    """
    groups: dict[str, dict[int | None, list[Stored]]] = defaultdict(lambda: defaultdict(list))
    for reading in sorted(readings, key=lambda reading: reading.order):
        groups[reading.metric][reading.seed].append(reading)
    since = _newest_shapes(groups.values())
    values = {
        metric: over_seeds([over_readings(taken, since.get(seed, 0)) for seed, taken in of.items()])
        for metric, of in groups.items()
    }
    for name, value in values.items():
        if value.seeds > 1 and units.get(name) in SHARES:
            low, high = max(0.0, value.low), min(1.0, value.high)
            values[name] = dataclasses.replace(value, low=low, high=high)
    return values


def over_readings(readings: Sequence[Stored], since: int = 0) -> Value:
    """Pool the readings of one metric and seed.

    Args:
        readings: At least one, the newest last.
        since: Timed ones that were taken before this do not count, if there are later ones.

    Returns:
        The newest of numbers that are always the same; else the median of the calm readings, of
        all where none is calm.
    """
    newest = readings[-1]
    if not newest.timed:
        return _one(newest)
    timed = [reading for reading in readings if reading.timed and reading.order >= since]
    calm = [reading for reading in timed if not (reading.wide or reading.busy)]
    return _median(calm or timed or [newest])


def over_seeds(values: Sequence[Value]) -> Value:
    """Average the numbers of several seeds.

    Args:
        values: One for each seed, at least one.

    Returns:
        Their mean; of one seed the number itself.
    """
    if len(values) == 1:
        return values[0]
    mean = statistics.fmean(value.value for value in values)
    spread = _spread([value.value for value in values])
    down = statistics.fmean(value.value - value.low for value in values)
    up = statistics.fmean(value.high - value.value for value in values)
    return Value(
        value=mean,
        low=mean - math.hypot(down, spread),
        high=mean + math.hypot(up, spread),
        seeds=len(values),
        readings=sum(value.readings for value in values),
        wide=any(value.wide for value in values),
        busy=any(value.busy for value in values),
    )


def _one(reading: Stored) -> Value:
    return Value(
        value=reading.value,
        low=reading.low,
        high=reading.high,
        wide=reading.wide,
        busy=reading.busy,
    )


def _median(readings: Sequence[Stored]) -> Value:
    count = len(readings)
    if count == 1:
        return _one(readings[0])
    value = statistics.median(reading.value for reading in readings)
    spread = _spread([reading.value for reading in readings])
    down = math.hypot(*(reading.value - reading.low for reading in readings)) / count
    up = math.hypot(*(reading.high - reading.value for reading in readings)) / count
    wider = 1.0 if count == 2 else math.sqrt(math.pi / 2)
    return Value(
        value=value,
        low=value - wider * max(down, spread),
        high=value + wider * max(up, spread),
        readings=count,
        wide=any(reading.wide for reading in readings),
        busy=any(reading.busy for reading in readings),
    )


def _spread(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean, as the spread of the values themselves tells it."""
    # Takes a moment to import, and most designs are measured once.
    from scipy.special import stdtrit

    count = len(values)
    return float(stdtrit(count - 1, 0.975)) * statistics.stdev(values) / math.sqrt(count)


def _newest_shapes(
    groups: Iterable[Mapping[int | None, Sequence[Stored]]],
) -> dict[int | None, int]:
    """Find since when the shapes are those of the newest training, by seed.

    The same seed should end in the same shapes, but on another day (another torch) it may not. Then
    counts or accuracy differ, and what was timed before is of other shapes.
    """
    since: dict[int | None, int] = {}
    for group in groups:
        for seed, readings in group.items():
            for before, after in itertools.pairwise(readings):
                fixed = after.learned and not after.timed
                if fixed and before.value != after.value:
                    since[seed] = max(since.get(seed, 0), after.order)
    return since
