"""The simulated world."""

import numpy as np
import pytest

from dsx.bench.searching.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_true_values_are_constant_and_plausible(world: World) -> None:
    rows = world.tables.random(20, np.random.default_rng(0))
    baseline = np.zeros_like(rows[0])
    for row in rows:
        assert world.accuracy(row) == world.accuracy(row) and 0.9 < world.accuracy(row) <= 1
        assert world.latency(row) == world.latency(row)
        assert 0.1 < world.latency(row) / world.latency(baseline) < 1.1
    assert len({world.latency(row) for row in rows}) == 20


def test_readings_scatter_around_the_true_values(world: World) -> None:
    rng = np.random.default_rng(0)
    (row,) = world.tables.random(1, rng)
    readings = [world.observe(row, rng) for _ in range(100)]
    assert np.mean([each.accuracy for each in readings]) == pytest.approx(
        world.accuracy(row), abs=0.005
    )
    assert np.mean([each.latency for each in readings]) == pytest.approx(
        world.latency(row), rel=0.01
    )
    assert np.std([each.accuracy for each in readings]) > 0.003


def test_forms_explain_the_latency(world: World) -> None:
    rng = np.random.default_rng(1)
    baseline = np.zeros(len(world.tables.slots), dtype=int)
    pairs = []
    for row in world.tables.random(30, rng):
        forms = world.observe(row, rng).forms
        saved = sum(forms.dense_ms.values()) - sum(forms.selected_ms.values())
        pairs.append((saved, world.latency(baseline) - world.latency(row)))
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.6
    assert world.observe(baseline, rng).forms.dense_ms == {}
