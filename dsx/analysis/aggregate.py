"""Pool: one number with one honest interval from all that was read of a design.

A *timed* number (one with samples of its own) comes out otherwise every time, and its readings
under one protocol are pooled. Any other number is the same every time under one protocol, so that
of several readings the newest counts. Protocols that differ in nothing but the training seed are a
family: each seed gives a number of its own, and these are averaged.

**Readings.** Measurement i says v_i and is unsure of itself by s_i, half its interval. Where the
machine stands differs from one reading to the next: v_i = truth + offset_i + error_i. How far the
offsets spread only the readings can tell. With d their standard deviation, in which offsets and
errors are both, their mean has the 95 % interval t d / sqrt(m), t being Student's quantile for
m - 1 degrees of freedom. As soon as several designs of a study have several readings, d is that of
all of them together (`dsx.analysis.variance`), and is known of single readings too. A few readings
may be alike by chance, so the interval is never narrower than what the errors leave of it,
sqrt(sum of s_i^2) / m. The value is the median, which one spoilt reading does not move. The median
of normal numbers scatters at most sqrt(pi / 2) times as much as their mean, so the interval is that
much wider (of two readings the median is the mean). All weigh alike: flagged readings
(noisy or unconverged) count only where there are no others.

**Seeds.** The value is the mean over the seeds. All seeds are judged on the same validation images,
so what chance lies in the choice of these images (the binomial interval of each seed) does not
shrink with the number k of seeds; what lies in the seeds does. The two are independent, so they
join in quadrature: sqrt(h^2 + (t d / sqrt(k))^2), h the mean of the seeds' own halves. Here too d
is that of all designs together where several have several seeds: then a single training is known to
be a matter of luck as well. With learned
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

from dsx.analysis.estimate import Estimate
from dsx.analysis.measurement import Measurement
from dsx.analysis.variance import LEAST_FREEDOM, Scatter, joint, scatter_of

SHARES = frozenset({"share", "fraction", "ratio", "top-1", "0..1", "0 to 1"})
"""Units of what lies between 0 and 1."""


Grouped = Mapping[str, Mapping[int | None, Sequence[Measurement]]]
"""Metric and seed to the readings that count, the newest last."""


@dataclass(frozen=True, kw_only=True)
class Scatters:
    """How far numbers of one design lie apart, by metric, where enough designs show it.

    Args:
        readings: Under one protocol.
        seeds: The means of different seeds.
    """

    readings: Mapping[str, Scatter] = field(default_factory=dict)
    seeds: Mapping[str, Scatter] = field(default_factory=dict)


def pool_all(
    designs: Mapping[str, Iterable[Measurement]], units: Mapping[str, str]
) -> dict[str, dict[str, Estimate]]:
    """Pool the readings of all designs of a study.

    Args:
        designs: Design id to its readings on one device, under protocols of one family for each
            metric.
        units: Metric to unit; what is a share lies between 0 and 1, and so does its interval.

    Returns:
        Design id and metric to number.
    """
    grouped = {design: group(readings) for design, readings in designs.items()}
    scatters = scatters_of(grouped.values())
    return {design: pool(of, units, scatters) for design, of in grouped.items()}


def group(readings: Iterable[Measurement]) -> Grouped:
    """Sort the readings of a design by metric and seed, and leave out those that do not count."""
    groups: dict[str, dict[int | None, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for reading in sorted(readings, key=number_of):
        groups[reading.metric][reading.seed].append(reading)
    since = _newest_shapes(groups.values())
    return {
        metric: {seed: _counting(taken, since.get(seed, 0)) for seed, taken in of.items()}
        for metric, of in groups.items()
    }


def scatters_of(designs: Iterable[Grouped]) -> Scatters:
    """Find how far numbers of one design lie apart.

    Args:
        designs: The readings of each.

    Returns:
        By metric, where there are enough designs with several numbers.
    """
    # By the numbers of the readings: what designs with equal deployed networks share counts once.
    readings: dict[str, dict[frozenset[int], list[float]]] = defaultdict(dict)
    seeds: dict[str, dict[frozenset[int], list[float]]] = defaultdict(dict)
    for design in designs:
        for metric, of in design.items():
            for taken in of.values():
                readings[metric][_numbers(taken)] = [reading.value for reading in taken]
            seeds[metric][_numbers(itertools.chain(*of.values()))] = [
                statistics.median(reading.value for reading in taken) for taken in of.values()
            ]
    return Scatters(readings=_told(readings), seeds=_told(seeds))


def _numbers(readings: Iterable[Measurement]) -> frozenset[int]:
    return frozenset(map(number_of, readings))


def number_of(reading: Measurement) -> int:
    """Return the number of a stored reading.

    Args:
        reading: The reading.
    """
    assert reading.number is not None, "not stored"
    return reading.number


def _told(values: Mapping[str, Mapping[Any, Sequence[float]]]) -> dict[str, Scatter]:
    found = {metric: joint(own.values()) for metric, own in values.items()}
    return {
        metric: own
        for metric, own in found.items()
        if own is not None and own.freedom >= LEAST_FREEDOM
    }


def pool(grouped: Grouped, units: Mapping[str, str], scatters: Scatters) -> dict[str, Estimate]:
    """Pool all readings of a design.

    Args:
        grouped: Its readings.
        units: Metric to unit; what is a share lies between 0 and 1, and so does its interval.
        scatters: What the designs of the study say together.

    Returns:
        Metric to number.
    """
    values = {}
    for metric, of in grouped.items():
        alike = scatters.readings.get(metric)
        values[metric] = over_seeds(
            [over_readings(taken, alike) for taken in of.values()], scatters.seeds.get(metric)
        )
        if units.get(metric) in SHARES:
            value = values[metric]
            low, high = max(0.0, value.low), min(1.0, value.high)
            values[metric] = dataclasses.replace(value, low=low, high=high)
        elif values[metric].low < 0 <= values[metric].value:
            # Whatever is measured here is never less than nothing.
            values[metric] = dataclasses.replace(values[metric], low=0.0)
    return values


def _counting(readings: Sequence[Measurement], since: int) -> Sequence[Measurement]:
    """Choose which readings of one metric and seed count.

    Of numbers that are always the same the newest; else the calm ones, or all where none is calm,
    but not those that were taken before `since`, if there are later ones.
    """
    newest = readings[-1]
    if not newest.sample_count:
        return [newest]
    timed = [
        reading
        for reading in readings
        if reading.sample_count and (number_of(reading) >= since or not reading.learned)
    ]
    calm = [reading for reading in timed if not reading.flagged]
    return calm or timed or [newest]


def over_readings(readings: Sequence[Measurement], scatter: Scatter | None = None) -> Estimate:
    """Pool the readings of one metric and seed.

    Args:
        readings: Those that count, at least one.
        scatter: Of readings of one design, as far as it is known from others.

    Returns:
        Their median.
    """
    count = len(readings)
    values = [reading.value for reading in readings]
    value = statistics.median(values)
    scatter = scatter or scatter_of(values)
    spread = 0.0 if scatter is None else scatter.half(statistics.fmean(values), count)
    down = math.hypot(*(reading.value - reading.low for reading in readings)) / count
    up = math.hypot(*(reading.high - reading.value for reading in readings)) / count
    wider = 1.0 if count <= 2 else math.sqrt(math.pi / 2)
    return Estimate(
        value=value,
        low=value - wider * max(down, spread),
        high=value + wider * max(up, spread),
        readings=count,
        converged=all(reading.converged for reading in readings),
        noisy=any(reading.noisy for reading in readings),
        chance=readings[-1].chance,
        better_than_chance=readings[-1].better_than_chance,
        constant=readings[-1].constant,
        rests_on=_numbers(readings),
    )


def estimate_of(reading: Measurement) -> Estimate:
    """Return the estimate that rests on a single reading.

    Args:
        reading: The reading.
    """
    return Estimate(
        value=reading.value,
        low=reading.low,
        high=reading.high,
        converged=reading.converged,
        noisy=reading.noisy,
        chance=reading.chance,
        better_than_chance=reading.better_than_chance,
        constant=reading.constant,
        rests_on=frozenset() if reading.number is None else frozenset({reading.number}),
    )


def over_seeds(values: Sequence[Estimate], scatter: Scatter | None = None) -> Estimate:
    """Average the numbers of several seeds.

    Args:
        values: One for each seed, at least one.
        scatter: Of seeds of one design, as far as it is known from others.

    Returns:
        Their mean.
    """
    mean = statistics.fmean(value.value for value in values)
    scatter = scatter or scatter_of([value.value for value in values])
    if scatter is None:
        return values[0]
    spread = scatter.half(mean, len(values))
    down = statistics.fmean(value.value - value.low for value in values)
    up = statistics.fmean(value.high - value.value for value in values)
    return Estimate(
        value=mean,
        low=mean - math.hypot(down, spread),
        high=mean + math.hypot(up, spread),
        seeds=len(values),
        readings=sum(value.readings for value in values),
        converged=all(value.converged for value in values),
        noisy=any(value.noisy for value in values),
        chance=values[-1].chance,
        better_than_chance=values[-1].better_than_chance,
        constant=all(value.constant for value in values),
        rests_on=frozenset().union(*(value.rests_on for value in values)),
    )


def _newest_shapes(
    groups: Iterable[Mapping[int | None, Sequence[Measurement]]],
) -> dict[int | None, int]:
    """Find since when the shapes are those of the newest training, by seed.

    The same seed should end in the same shapes, but on another day (another torch) it may not. Then
    counts or accuracy differ, and what was timed before is of other shapes.
    """
    since: dict[int | None, int] = {}
    for group in groups:
        for seed, readings in group.items():
            for before, after in itertools.pairwise(readings):
                fixed = after.learned and not after.sample_count
                if fixed and before.value != after.value:
                    since[seed] = max(since.get(seed, 0), number_of(after))
    return since
