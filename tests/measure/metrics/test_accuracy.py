"""Accuracy, and the Wilson interval compared with published and exact values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.measurement import Predictions, Provenance
from dsx.data import TensorSplit
from dsx.measure.metrics.accuracy import METRIC, wilson
from tests.measure.candidates import SPECS, candidate


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # R. G. Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I,
        # method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_wilson_intervals(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson(hits, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_interval_ends_solve_the_score_equation(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    share = hits / trials
    for end in wilson(hits, trials):
        # (share - p)^2 = z^2 p (1 - p) / n, or an end that is the proportion itself.
        left, right = (share - end) ** 2, 1.959963984540054**2 * end * (1 - end) / trials
        assert end == share or left == pytest.approx(right, rel=1e-6, abs=1e-12)


@given(st.integers(1, 5000), st.data())
def test_interval_contains_the_proportion_and_mirrors(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = wilson(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert low < high
    assert (1 - high, 1 - low) == pytest.approx(wilson(trials - hits, trials), abs=1e-9)


def test_interval_ends_are_exact_for_no_or_all_successes() -> None:
    for trials in (1, 3, 360, 10_000):
        assert wilson(0, trials)[0] == 0
        assert wilson(trials, trials)[1] == 1


def test_accuracy_is_measured_on_the_validation_split() -> None:
    one = candidate(specs=SPECS)
    reading = METRIC.read(one)
    validation = one.splits.validation
    assert isinstance(validation, TensorSplit)
    with torch.no_grad():
        predicted = one.trained()(validation.images).argmax(1)
    hits = predicted.eq(validation.labels).sum()
    assert reading.value == int(hits) / 360
    assert (reading.low, reading.high) == wilson(int(hits), 360)
    assert one.losses is not None
    predictions = Predictions(
        images=360,
        chance=max(validation.labels.tolist().count(label) for label in range(10)) / 360,
        better_than_chance="above",
        predicted_classes=len(set(predicted.tolist())),
        losses=tuple(one.losses),
    )
    assert reading.provenance == Provenance(predictions=predictions)
    assert reading.value > 0.2  # of ten classes, after one epoch


def test_accuracy_is_reproducible() -> None:
    assert METRIC.read(candidate(specs=SPECS)) == METRIC.read(candidate(specs=SPECS))
