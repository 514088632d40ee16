"""Aggregation: cases computed by hand, and coverage of the intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy.stats import t

from dsx.analysis.aggregate import aggregate_all, aggregate_readings, aggregate_seeds
from dsx.analysis.estimate import Estimate
from dsx.analysis.measurement import Measurement, Provenance
from dsx.measure.metrics.accuracy import wilson

Z = 1.959963984540054


def read(
    value: float, half: float = 0.0, order: int = 1, metric: str = "latency_ms", **facts: object
) -> Measurement:
    return dataclasses.replace(
        Measurement(
            number=order,
            metric=metric,
            seed=None,
            value=value,
            low=value - half,
            high=value + half,
            sample_count=int(metric == "latency_ms"),
        ),
        **facts,  # type: ignore[arg-type]
    )


def value(number: float, half: float = 0.0) -> Estimate:
    return Estimate(value=number, low=number - half, high=number + half)


def pooled(readings: Sequence[Measurement], units: Mapping[str, str]) -> Mapping[str, Estimate]:
    """Aggregate the readings of the only design of a study."""
    return aggregate_all({"design": readings}, units)["design"]


def holds(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_a_single_reading_is_unchanged() -> None:
    assert pooled([read(0.3, 0.1)], {}) == {"latency_ms": value(0.3, 0.1)}


def test_the_newest_reading_of_a_reproducible_value_counts() -> None:
    readings = [read(9.0, 1.0, 2, "accuracy"), read(8.0, 0.5, 1, "accuracy")]
    assert pooled(readings, {}) == {"accuracy": value(9.0, 1.0)}


def test_timed_readings_are_aggregated() -> None:
    found = aggregate_readings([read(v, 0.1, n) for n, v in enumerate([1.0, 1.2, 9.0])])
    spread = t.ppf(0.975, 2) * np.std([1.0, 1.2, 9.0], ddof=1) / math.sqrt(3)
    assert (found.value, found.readings) == (1.2, 3)
    assert found.high - 1.2 == pytest.approx(math.sqrt(math.pi / 2) * spread)
    assert 1.2 - found.low == pytest.approx(found.high - 1.2)


def test_two_equal_readings_never_widen_the_interval() -> None:
    for count in range(2, 9):
        found = aggregate_readings([read(1.0, 0.1, n) for n in range(count)])
        assert found.value == 1.0
        assert 0.9 < found.low < 1.0 < found.high < 1.1
    two = aggregate_readings([read(1.0, 0.1, n) for n in range(2)])
    assert two.high - two.value == pytest.approx(0.1 / math.sqrt(2))


def test_an_uneven_interval_stays_uneven() -> None:
    lopsided = dataclasses.replace(read(1.0), low=0.8, high=1.1)
    found = aggregate_readings([lopsided, lopsided])
    assert found.value - found.low == pytest.approx(2 * (found.high - found.value))


def test_flagged_readings_count_only_if_there_are_no_others() -> None:
    unconverged, noisy = Provenance(converged=False), Provenance(noisy=True)
    rough = [read(5.0, 1.0, 1, provenance=unconverged), read(6.0, 1.0, 3, provenance=noisy)]
    assert pooled([*rough, read(1.0, 0.1, 2)], {}) == {"latency_ms": value(1.0, 0.1)}
    found = pooled(rough, {})["latency_ms"]
    assert (found.value, found.readings, found.converged, found.noisy) == (5.5, 2, False, True)


def test_seeds_are_averaged() -> None:
    found = aggregate_seeds([value(0.90, 0.03), value(0.94, 0.02), value(0.95, 0.01)])
    assert found.value == pytest.approx(0.93)
    spread = t.ppf(0.975, 2) * np.std([0.90, 0.94, 0.95], ddof=1) / math.sqrt(3)
    assert found.high - found.value == pytest.approx(math.hypot(0.02, spread))
    assert (found.seeds, found.readings) == (3, 3)


def test_seeds_do_not_reduce_the_uncertainty_of_the_images() -> None:
    found = aggregate_seeds([value(0.9, 0.03)] * 50)
    assert found.high - found.value == pytest.approx(0.03)


def test_readings_are_aggregated_before_seeds() -> None:
    one = [read(v, 0.1, n, seed=1) for n, v in enumerate([1.0, 1.2])]
    two = [read(v, 0.1, n + 5, seed=2) for n, v in enumerate([2.0, 2.2, 2.4])]
    found = pooled([*two, *one], {})["latency_ms"]
    expected = aggregate_seeds([aggregate_readings(one), aggregate_readings(two)])
    assert found == dataclasses.replace(expected, low=max(0.0, expected.low))
    assert (found.seeds, found.readings) == (2, 5)


def test_the_interval_of_a_share_is_clipped() -> None:
    seeds = [read(v, 0.01, n, "accuracy", seed=n) for n, v in enumerate([0.99, 0.95])]
    assert pooled(seeds, {"accuracy": "ms"})["accuracy"].high > 1
    found = pooled(seeds, {"accuracy": "fraction"})["accuracy"]
    assert (found.low >= 0, found.high) == (True, 1.0)
    assert found.low == pytest.approx(max(0.0, pooled(seeds, {})["accuracy"].low))


def test_the_interval_of_a_time_is_not_negative() -> None:
    found = pooled([read(0.1, 0.01), read(0.3, 0.01, order=2)], {})["latency_ms"]
    assert found.low == 0.0 < found.value < found.high
    assert pooled([read(-2.0, 0.5)], {})["latency_ms"].low == -2.5


def test_times_of_earlier_learned_shapes_are_excluded() -> None:
    def params(count: float, order: int, seed: int) -> Measurement:
        return read(count, 0.0, order, "params", learned=True, seed=seed)

    def time(ms: float, order: int, seed: int) -> Measurement:
        return read(ms, 0.1, order, learned=True, seed=seed)

    first = [params(100, 1, 0), time(1.0, 2, 0), time(1.2, 3, 0)]
    # The same shapes again, and those of another seed.
    again = [*first, params(100, 4, 0), params(90, 5, 1), time(0.5, 6, 1)]
    assert pooled(again, {})["latency_ms"].readings == 3
    other = [*again, params(110, 7, 0), time(3.0, 8, 0)]
    found = pooled(other, {})["latency_ms"]
    assert (found.value, found.readings) == (1.75, 2)


@pytest.mark.parametrize("count", [3, 4, 6, 12])
@pytest.mark.parametrize(("offset", "error"), [(1.0, 0.0), (1.0, 0.3), (0.5, 1.0)])
def test_intervals_of_aggregated_readings_cover_the_true_value(
    count: int, offset: float, error: float
) -> None:
    rng = np.random.default_rng(count)
    held = []
    for _ in range(1000):
        numbers = 10 + offset * rng.normal(size=count) + error * rng.normal(size=count)
        held.append(holds(aggregate_readings([read(v, Z * error) for v in numbers]), 10))
    # At least 95 % within three standard errors; with known errors the coverage is higher.
    assert np.mean(held) > 0.93


def test_intervals_cover_the_true_value_if_readings_differ_by_an_offset_only() -> None:
    rng = np.random.default_rng(5)
    held = [
        holds(aggregate_readings([read(v) for v in rng.normal(100, 1, 5)]), 100)
        for _ in range(2000)
    ]
    assert 0.94 < np.mean(held) < 0.985


def test_a_deviation_pooled_over_designs_applies_to_each() -> None:
    rng = np.random.default_rng(7)
    truths = rng.uniform(1, 9, 40)
    designs = {
        str(number): [read(truth * rng.normal(1, 0.05), 0.0, 2 * number + n) for n in range(2)]
        for number, truth in enumerate(truths)
    }
    designs["single"] = [read(3 * 1.05, 0.0, 1000)]
    found = aggregate_all(designs, {})
    values = [found[str(number)]["latency_ms"] for number in range(40)]
    held = [holds(own, truth) for own, truth in zip(values, truths, strict=True)]
    assert np.mean(held) >= 0.9
    # With Student's quantile for a single design, the half-width would be 12.7 x 0.05 / sqrt(2).
    widths = [(own.high - own.low) / own.value for own in values]
    assert max(widths) < 4 * 0.05
    single = found["single"]["latency_ms"]
    assert single.high - single.value == pytest.approx(2.02 * 0.05 * 3.15, rel=0.3)


def test_a_deviation_of_few_designs_does_not_apply_to_others() -> None:
    designs = {"a": [read(1.0, 0.01, 1), read(1.3, 0.01, 2)], "b": [read(2.0, 0.01, 3)]}
    assert aggregate_all(designs, {})["b"] == {"latency_ms": value(2.0, 0.01)}


def test_shared_readings_count_once_in_the_pooled_deviation() -> None:
    shared = [read(1.0, 0.01, 1), read(1.3, 0.01, 2)]
    designs = {**dict.fromkeys(map(str, range(9)), shared), "b": [read(2.0, 0.01, 3)]}
    found = aggregate_all(designs, {})
    # One deployed network with two readings, which several designs share.
    assert found["b"] == {"latency_ms": value(2.0, 0.01)}
    own = pooled(shared, {})
    assert all(found[str(number)] == own for number in range(9))
    assert found["0"]["latency_ms"].rests_on == {1, 2}


def test_the_variance_between_seeds_applies_to_single_trainings() -> None:
    twice = {
        str(number): [
            read(0.9 + 0.02 * n, 0.01, 2 * number + n, "accuracy", seed=n) for n in range(2)
        ]
        for number in range(6)
    }
    found = aggregate_all({**twice, "once": [read(0.9, 0.01, 1000, "accuracy", seed=0)]}, {})
    once, two = found["once"]["accuracy"], found["0"]["accuracy"]
    assert (once.seeds, two.seeds) == (1, 2)
    assert once.high - once.value > 2.4 * 0.02 / math.sqrt(2) > two.high - two.value


def trained(rng: np.random.Generator, seeds: int, images: int, luck: float) -> Sequence[Estimate]:
    """Simulate the classification of the same images by networks of several seeds.

    The image, the seed and chance have normal effects; the prediction is correct if their sum is
    below a threshold.
    """
    harder = rng.normal(size=images)
    found = []
    for _ in range(seeds):
        chance = 0.5 * rng.normal(size=images)
        hits = int((harder + chance + luck * rng.normal() < 1.6).sum())
        low, high = wilson(hits, images)
        found.append(Estimate(value=hits / images, low=low, high=high))
    return found


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("luck", [0.02, 0.3])
def test_intervals_of_means_over_seeds_cover_the_true_value(seeds: int, luck: float) -> None:
    rng = np.random.default_rng(seeds)
    # The sum over all images and seeds is normal.
    sigma = math.sqrt(1 + 0.25 + luck**2)
    truth = 0.5 * math.erfc(-1.6 / sigma / math.sqrt(2))
    held = [holds(aggregate_seeds(trained(rng, seeds, 360, luck)), truth) for _ in range(600)]
    assert np.mean(held) > 0.925
    # The interval of a single seed is too narrow if the variance between seeds is large.
    if luck == 0.3:
        alone = [holds(trained(rng, 1, 360, luck)[0], truth) for _ in range(600)]
        assert np.mean(alone) < 0.9
