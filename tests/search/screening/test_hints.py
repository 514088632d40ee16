"""Hints: a related value is a second reading, an unrelated one changes nothing."""

import numpy as np
import pytest

from dsx.search.screening.hints import FEWEST, Readings, with_hints

RNG = np.random.default_rng(0)


def world(count: int = 40) -> tuple[np.ndarray, Readings, np.ndarray]:
    """Return true values, noisy readings of them, and a more precise hint on another scale."""
    true = RNG.standard_normal(count)
    readings = Readings(true + RNG.standard_normal(count), np.ones(count))
    return true, readings, 5 - 2 * (true + 0.4 * RNG.standard_normal(count))


def test_a_related_hint_brings_readings_closer_to_the_truth() -> None:
    true, readings, hint = world(200)
    found = with_hints(readings, {"loss": hint})
    assert ((found.values - true) ** 2).mean() < 0.5 * ((readings.values - true) ** 2).mean()
    assert (found.variances < readings.variances).all()


def test_a_design_with_a_hint_only_has_a_reading() -> None:
    true, readings, hint = world(200)
    readings.values[0], readings.variances[0] = np.nan, np.inf
    found = with_hints(readings, {"loss": hint})
    assert abs(found.values[0] - true[0]) < 3 * np.sqrt(found.variances[0])
    assert np.isfinite(found.variances[0])


def test_an_unrelated_hint_changes_nothing() -> None:
    _, readings, _ = world()
    order = np.tile([0.0, 1.0], 20)
    found = with_hints(readings, {"loss": order})
    assert found.values == pytest.approx(readings.values)
    assert found.variances == pytest.approx(readings.variances)


def test_too_few_designs_relate_nothing() -> None:
    _, readings, hint = world(FEWEST - 1)
    found = with_hints(readings, {"loss": hint})
    assert found.values == pytest.approx(readings.values)


def test_without_readings_there_is_none() -> None:
    missing = Readings(np.full(3, np.nan), np.full(3, np.inf))
    found = with_hints(missing, {"loss": np.arange(3.0)})
    assert np.isnan(found.values).all() and np.isinf(found.variances).all()
