"""Aggregation of repeated measurements into one estimate with a 95 % confidence interval.

A *timed* value (one with samples) differs from reading to reading, and the readings under one
protocol are aggregated. Any other value is reproducible under one protocol, so only the newest
reading counts. Protocols that differ only in the training seed form a family; the values of
different seeds are averaged.

**Readings.** Reading i has the value v_i and an error s_i, half the width of its interval. In
addition, the state of the machine differs between readings: v_i = truth + offset_i + error_i. The
variance of the offsets is known only from repeated readings. Let d be the standard deviation of m
readings, which includes offsets and errors. The 95 % interval of their mean is t d / sqrt(m), where
t is Student's quantile for m - 1 degrees of freedom. If several designs of a study have several
readings, d is pooled over all of them (`dsx.analysis.variance`), and then applies to single
readings too. Because a few readings may agree by chance, the interval is never narrower than the
contribution of the errors, sqrt(sum of s_i^2) / m. The value is the median, which is robust against
one outlier. The standard error of the median of normal values is at most sqrt(pi / 2) times that of
their mean, so the interval is widened by this factor (the median of two readings is their mean).
All readings have equal weight; flagged readings (noisy or unconverged) count only if there are no
others.

**Seeds.** The value is the mean over the seeds. All seeds are evaluated on the same validation
images, so the uncertainty due to the choice of these images (the binomial interval of each seed)
does not decrease with the number k of seeds, while the uncertainty due to the seeds does. The two
are independent and are added in quadrature: sqrt(h^2 + (t d / sqrt(k))^2), where h is the mean of
the half-widths of the seeds. Here, too, d is pooled over all designs if several of them have
several seeds, so that the variance between trainings is included even for a single seed. With
learned shapes every value depends on the seed, and the same rule applies to all metrics.
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
from dsx.analysis.examples import ExampleResults
from dsx.analysis.measurement import Measurement
from dsx.analysis.variance import MIN_FREEDOM, Deviation, deviation_of, pooled_deviation

SHARES = frozenset({"share", "fraction", "ratio", "top-1", "0..1", "0 to 1"})
"""Units of values between 0 and 1."""

Grouped = Mapping[str, Mapping[int | None, Sequence[Measurement]]]
"""Metric and seed to the readings that count, the newest last."""


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """Pooled relative standard deviations by metric, if enough designs have repeated values.

    Args:
        readings: Deviations of the readings under one protocol.
        seeds: Deviations of the means of different seeds.
    """

    readings: Mapping[str, Deviation] = field(default_factory=dict)
    seeds: Mapping[str, Deviation] = field(default_factory=dict)


def aggregate_all(
    designs: Mapping[str, Iterable[Measurement]], units: Mapping[str, str]
) -> dict[str, dict[str, Estimate]]:
    """Aggregate the readings of all designs of a study.

    Args:
        designs: Design id to the readings on one device, under protocols of one family for each
            metric.
        units: Metric to unit; the interval of a share is clipped to 0..1.

    Returns:
        Design id and metric to estimate.
    """
    grouped = {design: group(readings) for design, readings in designs.items()}
    deviations = deviations_of(grouped.values())
    return {design: aggregate(of, units, deviations) for design, of in grouped.items()}


def group(readings: Iterable[Measurement]) -> Grouped:
    """Group the readings of a design by metric and seed, without those that do not count.

    Args:
        readings: Readings of the design.

    Returns:
        Metric and seed to the readings that count.
    """
    groups: dict[str, dict[int | None, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for reading in sorted(readings, key=row_number):
        groups[reading.metric][reading.seed].append(reading)
    since = _newest_shapes(groups.values())
    return {
        metric: {seed: _counting(taken, since.get(seed, 0)) for seed, taken in of.items()}
        for metric, of in groups.items()
    }


def deviations_of(designs: Iterable[Grouped]) -> Deviations:
    """Compute the pooled relative standard deviation of readings and of seeds.

    Args:
        designs: Grouped readings of each design.

    Returns:
        The deviations of the metrics with enough repeated values.
    """
    # By row numbers, so that readings shared by equal deployed networks count once.
    readings: dict[str, dict[frozenset[int], list[float]]] = defaultdict(dict)
    seeds: dict[str, dict[frozenset[int], list[float]]] = defaultdict(dict)
    for design in designs:
        for metric, of in design.items():
            for taken in of.values():
                readings[metric][_row_numbers(taken)] = [reading.value for reading in taken]
            seeds[metric][_row_numbers(itertools.chain(*of.values()))] = [
                statistics.median(reading.value for reading in taken) for taken in of.values()
            ]
    return Deviations(readings=_pooled(readings), seeds=_pooled(seeds))


def _row_numbers(readings: Iterable[Measurement]) -> frozenset[int]:
    return frozenset(map(row_number, readings))


def row_number(reading: Measurement) -> int:
    """Return the row number of a stored reading.

    Args:
        reading: The reading.
    """
    assert reading.number is not None, "not stored"
    return reading.number


def _pooled(values: Mapping[str, Mapping[Any, Sequence[float]]]) -> dict[str, Deviation]:
    found = {metric: pooled_deviation(own.values()) for metric, own in values.items()}
    return {
        metric: own
        for metric, own in found.items()
        if own is not None and own.freedom >= MIN_FREEDOM
    }


def aggregate(
    grouped: Grouped, units: Mapping[str, str], deviations: Deviations
) -> dict[str, Estimate]:
    """Aggregate all readings of a design.

    Args:
        grouped: Grouped readings of the design.
        units: Metric to unit; the interval of a share is clipped to 0..1.
        deviations: Deviations pooled over the designs of the study.

    Returns:
        Metric to estimate.
    """
    values = {}
    for metric, of in grouped.items():
        deviation = deviations.readings.get(metric)
        found = aggregate_seeds(
            [aggregate_readings(taken, deviation) for taken in of.values()],
            deviations.seeds.get(metric),
        )
        examples = examples_of(itertools.chain(*of.values()))
        values[metric] = dataclasses.replace(found, examples=examples)
        if units.get(metric) in SHARES:
            value = values[metric]
            low, high = max(0.0, value.low), min(1.0, value.high)
            values[metric] = dataclasses.replace(value, low=low, high=high)
        elif values[metric].low < 0 <= values[metric].value:
            # No metric has negative values.
            values[metric] = dataclasses.replace(values[metric], low=0.0)
    return values


def _counting(readings: Sequence[Measurement], since: int) -> Sequence[Measurement]:
    """Select the readings of one metric and seed that count.

    Of reproducible values the newest counts. Of timed values those count that are not flagged, or
    all of them if all are flagged, without those that precede `since` if there are later ones.
    """
    newest = readings[-1]
    if not newest.sample_count:
        return [newest]
    timed = [
        reading
        for reading in readings
        if reading.sample_count and (row_number(reading) >= since or not reading.learned)
    ]
    unflagged = [reading for reading in timed if not reading.flagged]
    return unflagged or timed or [newest]


def aggregate_readings(
    readings: Sequence[Measurement], deviation: Deviation | None = None
) -> Estimate:
    """Aggregate the readings of one metric and seed.

    Args:
        readings: Readings that count, at least one.
        deviation: Deviation of readings, pooled over designs; None to use these
            readings.

    Returns:
        The median with its interval.
    """
    count = len(readings)
    values = [reading.value for reading in readings]
    value = statistics.median(values)
    deviation = deviation or deviation_of(values)
    spread = 0.0 if deviation is None else deviation.half(statistics.fmean(values), count)
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
        rests_on=_row_numbers(readings),
    )


def examples_of(readings: Iterable[Measurement]) -> tuple[ExampleResults, ...]:
    """Return the results per example of all trainings on which an estimate rests.

    Args:
        readings: Stored readings of one metric of a design.

    Returns:
        The results of the newest reading for each seed, in the order of the seeds; empty if they
        are unknown for any seed.
    """
    newest = {each.seed: each.examples for each in sorted(readings, key=row_number)}
    # `dsx refine` counts up from the seed of the study, which is therefore the first.
    ordered = [newest[seed] for seed in sorted(newest, key=lambda seed: (seed is not None, seed))]
    known = tuple(each for each in ordered if each is not None)
    return known if len(known) == len(ordered) else ()


def estimate_of(reading: Measurement) -> Estimate:
    """Return the estimate from a single reading.

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
        examples=() if reading.examples is None else (reading.examples,),
        rests_on=frozenset() if reading.number is None else frozenset({reading.number}),
    )


def aggregate_seeds(values: Sequence[Estimate], deviation: Deviation | None = None) -> Estimate:
    """Average the values of several seeds.

    Args:
        values: Estimate of each seed, at least one.
        deviation: Deviation between seeds, pooled over designs; None to use these
            values.

    Returns:
        The mean with its interval.
    """
    mean = statistics.fmean(value.value for value in values)
    deviation = deviation or deviation_of([value.value for value in values])
    if deviation is None:
        return values[0]
    spread = deviation.half(mean, len(values))
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
    """Find the first reading of the newest learned shapes, by seed.

    The same seed should give the same shapes, but another version of torch may give others. Then
    counts or accuracy differ, and earlier timings are those of other shapes.
    """
    since: dict[int | None, int] = {}
    for group in groups:
        for seed, readings in group.items():
            for before, after in itertools.pairwise(readings):
                fixed = after.learned and not after.sample_count
                if fixed and before.value != after.value:
                    since[seed] = max(since.get(seed, 0), row_number(after))
    return since
