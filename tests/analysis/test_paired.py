"""Paired comparison: Tango's interval by other means, and coverage by simulation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from dsx.analysis.examples import Numbers
from dsx.analysis.paired import (
    LEAST_REPEATED,
    SeedNoise,
    compare_designs,
    compare_weights,
    own_errors,
    score,
    tango,
)

QUANTILE = 1.959963984540054


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    count = draw(st.integers(2, 800))
    more = draw(st.integers(0, count))
    return more, draw(st.integers(0, count - more)), count


def single(more: int, less: int, count: int) -> tuple[float, float, float]:
    found = tango(np.array([[float(more)]]), np.array([[float(less)]]), count)
    return float(found.value[0, 0]), float(found.low[0, 0]), float(found.high[0, 0])


@given(counts())
def test_the_interval_excludes_0_exactly_if_mcnemars_statistic_is_significant(
    numbers: tuple[int, int, int],
) -> None:
    more, less, _ = numbers
    _, low, high = single(*numbers)
    statistic = abs(more - less) / math.sqrt(more + less) if more + less else 0.0
    if abs(statistic - QUANTILE) > 1e-9:
        assert (low > 0 or high < 0) == (statistic > QUANTILE)


def likeliest_score(more: int, less: int, count: int, difference: float) -> float:
    """Compute the score with the likeliest probabilities, found by numerical optimisation."""
    least, most = max(0.0, -difference), (1 - difference) / 2
    low, high = least + 1e-12, most - 1e-12

    def unlikely(probability: float) -> float:
        terms = (
            (more, probability + difference),
            (less, probability),
            (count - more - less, 1 - 2 * probability - difference),
        )
        return -sum(number * math.log(max(of, 1e-300)) for number, of in terms if number)

    found = optimize.minimize_scalar(
        unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = count * (2 * found + difference * (1 - difference))
    return (more - less - count * difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    "numbers", [(9, 1, 50), (25, 10, 360), (3, 0, 720), (12, 12, 100), (1, 4, 10), (200, 150, 1000)]
)
def test_the_score_at_the_ends_of_the_interval_is_the_quantile(
    numbers: tuple[int, int, int],
) -> None:
    _, low, high = single(*numbers)
    assert likeliest_score(*numbers, low) == pytest.approx(QUANTILE, abs=1e-4)
    assert likeliest_score(*numbers, high) == pytest.approx(-QUANTILE, abs=1e-4)


@given(counts())
def test_exchanging_the_networks_changes_the_sign(numbers: tuple[int, int, int]) -> None:
    more, less, count = numbers
    value, low, high = single(more, less, count)
    assert (-value, -high, -low) == pytest.approx(single(less, more, count), abs=1e-9)
    assert -1 <= low <= value <= high <= 1 and low < high


def test_the_score_decreases_with_the_difference() -> None:
    differences = np.linspace(-0.99, 0.99, 199)
    found = score(np.full(199, 25.0), np.full(199, 10.0), 100, differences)
    assert (np.diff(found) < 0).all()


def test_networks_without_a_difference_have_the_interval_of_no_observed_event() -> None:
    # |score| = sqrt(n D / (1 - D)) for b = c = 0, so D = z^2 / (n + z^2).
    end = QUANTILE**2 / (360 + QUANTILE**2)
    assert single(0, 0, 360) == pytest.approx((0.0, -end, end))


def random_results(rng: np.random.Generator, *shape: int) -> Numbers:
    return (rng.random(shape) < 0.9).astype(float)


def test_all_pairs_of_networks_are_compared() -> None:
    rng = np.random.default_rng(0)
    these, those = random_results(rng, 3, 90), random_results(rng, 4, 90)
    found = compare_weights(these, those)
    for i, this in enumerate(these):
        for j, that in enumerate(those):
            more, less = int((this > that).sum()), int((this < that).sum())
            pair = found.value[i, j], found.low[i, j], found.high[i, j]
            assert pair == pytest.approx(single(more, less, 90))


def test_other_results_have_the_interval_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    these, those = rng.random((2, 50)), rng.random((3, 50))
    found = compare_weights(these, those)
    for i, this in enumerate(these):
        for j, that in enumerate(those):
            expected = stats.ttest_rel(this, that).confidence_interval()
            assert (found.low[i, j], found.high[i, j]) == pytest.approx(tuple(expected))


def test_the_noise_of_seeds_is_pooled_over_repeated_designs() -> None:
    two = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    three = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    noise = SeedNoise.of([two, np.ones((1, 4)), three])
    assert noise is not None
    variances = [np.var([0.75, 0.25], ddof=1), np.var([0.75, 1.0, 1.0], ddof=1)]
    assert noise.variance == pytest.approx((variances[0] + 2 * variances[1]) / 3)
    # Two of four examples; in a third of the pairs of seeds, none of four, else one.
    assert noise.flips == pytest.approx((0.5 + 2 * (2 / 3) / 4) / 3)
    assert noise.freedom == 3


def test_the_noise_of_seeds_needs_two_repeated_designs() -> None:
    assert SeedNoise.of([np.eye(2), np.ones((1, 2))]) is None
    assert LEAST_REPEATED == 2 and SeedNoise.of([np.eye(2), np.eye(2)]) is not None


def test_designs_are_compared_by_the_formula() -> None:
    rng = np.random.default_rng(1)
    this, that = random_results(rng, 2, 200), random_results(rng, 3, 200)
    noise = SeedNoise(variance=0.001, flips=0.05, freedom=4)
    found = compare_designs([this], [that], noise)
    differences = this.mean(axis=0) - that.mean(axis=0)
    v, inverse = differences.var(ddof=1) / 200, 1 / 2 + 1 / 3
    between = 0.001 * inverse
    square = v - 0.05 * inverse / 2 / 200 + between
    assert square > v
    freedom = square**2 / (v**2 / 199 + between**2 / 4)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(square)
    assert found.value[0, 0] == pytest.approx(differences.mean())
    assert found.high[0, 0] - found.value[0, 0] == pytest.approx(half)
    assert found.value[0, 0] - found.low[0, 0] == pytest.approx(half)


def test_a_variance_between_seeds_below_that_of_the_examples_does_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    this, that = random_results(rng, 1, 200), random_results(rng, 1, 200)
    found = compare_designs([this], [that], SeedNoise(variance=0.0, flips=0.01, freedom=4))
    expected = stats.ttest_rel(this[0], that[0]).confidence_interval()
    assert (found.low[0, 0], found.high[0, 0]) == pytest.approx(tuple(expected))


def test_equal_results_leave_an_uncertainty() -> None:
    equal = np.ones((2, 100))
    found = compare_designs([equal], [equal], SeedNoise(variance=0.0, flips=0.0, freedom=4))
    assert found.low[0, 0] < 0 < found.high[0, 0]


@pytest.mark.parametrize("seeds", [1, 3])
def test_squares_of_own_errors_add_up_to_that_of_the_difference(seeds: int) -> None:
    simulation = Simulation(seed=seeds)
    examples = simulation.rng.integers(2000, size=400)
    qualities = simulation.DESIGNS * simulation.rng.standard_normal(12)
    designs = [simulation.train(each, seeds, examples) for each in qualities]
    noise = SeedNoise.of(designs)
    errors = own_errors(designs, noise)
    found = np.hypot(errors[:, None], errors[None, :])[~np.eye(12, dtype=bool)]
    if noise is None:
        means = np.stack([each[0] for each in designs])
        expected = (means[:, None] - means[None, :]).std(axis=2, ddof=1) / math.sqrt(400)
        # The difficulty of the examples affects all designs, and is left out.
        assert errors.mean() < np.sqrt([each.var() / 400 for each in designs]).mean()
    else:
        pairs = compare_designs(designs, designs, noise)
        # For fewer degrees of freedom, the quantile is larger than the normal one by up to 10 %.
        expected = (pairs.high - pairs.low) / 2 / QUANTILE
    ratio = (found / expected[~np.eye(12, dtype=bool)]).mean()
    assert 0.97 < ratio < 1.03 if noise is None else 0.88 < ratio < 1.03


def test_equal_results_have_an_error() -> None:
    assert (own_errors([np.ones((1, 50))] * 3, None) > 0).all()


class Simulation:
    """Designs and trainings of different quality on examples of different difficulty."""

    SEEDS, DESIGNS = 0.2, 0.35

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        # Most examples are never missed. The mean error is 4 %.
        self.difficulty = self.rng.normal(-5.0, 2.2, 2000)
        self.grid = np.linspace(-4, 4, 161)
        offsets = np.linspace(-4, 4, 41) * self.SEEDS
        weights = np.exp(-(offsets**2) / 2 / self.SEEDS**2)
        self.errors = [
            np.average([self.missed(at + each).mean() for each in offsets], weights=weights)
            for at in self.grid
        ]

    def missed(self, quality: float, examples: Any = slice(None)) -> Numbers:
        found: Numbers = 1 / (1 + np.exp(-(self.difficulty[examples] + quality)))
        return found

    def train(self, quality: float, seeds: int, examples: NDArray[np.int64]) -> Numbers:
        found = [
            self.rng.random(len(examples))
            >= self.missed(quality + self.SEEDS * self.rng.standard_normal(), examples)
            for _ in range(seeds)
        ]
        return np.array(found, dtype=float)

    def covers(self, count: int, repeated: int, seeds: int) -> bool:
        """Compare two designs of a study in which some designs have two seeds."""
        examples = self.rng.integers(len(self.difficulty), size=count)
        this, that, *others = self.DESIGNS * self.rng.standard_normal(2 + repeated)
        pair = [self.train(each, seeds, examples) for each in (this, that)]
        more = others if seeds == 1 else others[2:]
        noise = SeedNoise.of([*pair, *(self.train(each, 2, examples) for each in more)])
        assert noise is not None
        found = compare_designs(pair[:1], pair[1:], noise)
        truth = np.interp(that, self.grid, self.errors) - np.interp(this, self.grid, self.errors)
        return bool(found.low[0, 0] <= truth <= found.high[0, 0])


def check_coverage(count: int, repeated: int, seeds: int, simulations: int) -> None:
    simulation = Simulation(seed=count + 10 * repeated + seeds)
    covered = np.mean([simulation.covers(count, repeated, seeds) for _ in range(simulations)])
    error = 2.5 * math.sqrt(0.95 * 0.05 / simulations)
    assert 0.93 - error <= covered <= (0.99 if repeated == 2 else 0.97) + error, covered


@pytest.mark.parametrize(("count", "repeated", "seeds"), [(360, 5, 1), (360, 20, 4), (720, 2, 2)])
def test_intervals_of_designs_contain_the_truth(count: int, repeated: int, seeds: int) -> None:
    check_coverage(count, repeated, seeds, 400)


@pytest.mark.long
@pytest.mark.parametrize("count", [360, 720, 10_000])
@pytest.mark.parametrize("repeated", [2, 5, 20])
@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_intervals_of_designs_contain_the_truth_in_many_simulations(
    count: int, repeated: int, seeds: int
) -> None:
    check_coverage(count, repeated, seeds, 2000)
