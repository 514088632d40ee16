"""The Gaussian process, compared with its definition."""

import numpy as np
import pytest

from dsx.search.screening.regression import Process
from tests.search.screening.small import difficulty, drawn, small


def fitted(count: int = 25, noise: float = 0.1) -> tuple[Process, np.ndarray, np.ndarray]:
    rows = drawn(count)
    rng = np.random.default_rng(1)
    readings = difficulty(rows) + noise * rng.standard_normal(len(rows))
    return Process(small(), rows, readings, np.full(len(rows), noise**2)), rows, readings


def test_the_posterior_is_that_of_the_definition() -> None:
    process, rows, readings = fitted()
    new = drawn(10, seed=5)
    inner = process.variance * process.kernel.between(rows, rows) + np.diag(process.noise)
    between = process.variance * process.kernel.between(new, rows)
    mean = process.centre + between @ np.linalg.inv(inner) @ (readings - process.centre)
    prior = process.variance * process.kernel.between(new, new)
    spread = np.diag(prior - between @ np.linalg.inv(inner) @ between.T)
    found = process.predict(new)
    assert found.mean == pytest.approx(mean)
    assert found.deviation == pytest.approx(np.sqrt(spread))


def test_samples_have_the_joint_distribution() -> None:
    process, rows, _ = fitted()
    new = drawn(6, seed=5)
    noise = np.random.default_rng(0).standard_normal((50_000, 6))
    found = process.sample(new, noise)
    inner = process.variance * process.kernel.between(rows, rows) + np.diag(process.noise)
    between = process.variance * process.kernel.between(new, rows)
    expected = process.variance * process.kernel.between(new, new)
    expected -= between @ np.linalg.solve(inner, between.T)
    assert found.mean(axis=0) == pytest.approx(process.predict(new).mean, abs=0.02)
    assert np.cov(found.T) == pytest.approx(expected, abs=0.02 * expected.max())


def test_left_out_designs_are_predicted_as_without_them() -> None:
    process, rows, readings = fitted()
    found = process.leave_one_out()
    for out in (0, 7, 24):
        rest = np.delete(np.arange(25), out)
        inner = process.variance * process.kernel.between(rows[rest], rows[rest])
        inner += np.diag(process.noise[rest])
        between = process.variance * process.kernel.between(rows[[out]], rows[rest])[0]
        mean = process.centre + between @ np.linalg.solve(inner, readings[rest] - process.centre)
        variance = process.variance * process.kernel.variances(rows[[out]])[0]
        variance += process.noise[out] - between @ np.linalg.solve(inner, between)
        assert found.mean[out] == pytest.approx(mean)
        assert found.deviation[out] == pytest.approx(np.sqrt(variance))


def test_the_kernel_is_a_covariance() -> None:
    process, rows, _ = fitted()
    between = process.kernel.between(rows, rows)
    assert between == pytest.approx(between.T)
    assert np.linalg.eigvalsh(between).min() > -1e-9
    assert np.diag(between) == pytest.approx(process.kernel.variances(rows))


def test_new_designs_are_predicted() -> None:
    process, _, _ = fitted(40)
    new = drawn(60, seed=9)
    found, true = process.predict(new), difficulty(new)
    assert np.corrcoef(found.mean, true)[0, 1] > 0.8
    inside = np.abs(found.mean - true) < 1.96 * found.deviation
    assert inside.mean() > 0.85


def test_precise_readings_count_more() -> None:
    rows = np.concatenate([drawn(2), drawn(2)])
    readings = np.array([0.0, 1.0, 0.0, 2.0])
    variances = np.array([0.1, 1e-4, 0.1, 1.0])
    found = Process(small(), rows, readings, variances).predict(rows[[1]])
    assert abs(found.mean[0] - 1.0) < abs(found.mean[0] - 2.0)
