"""Pooled relative standard deviation, compared with numpy."""

import math

import numpy as np
import pytest
from scipy.stats import t

from dsx.analysis.variance import deviation_of, pooled_deviation


def test_the_deviation_of_one_design_is_the_relative_standard_deviation() -> None:
    values = [1.0, 1.1, 1.4]
    found = deviation_of(values)
    assert found is not None and found.freedom == 2
    assert found.deviation == pytest.approx(np.std(values, ddof=1) / np.mean(values))
    half = t.ppf(0.975, 2) * np.std(values, ddof=1) / math.sqrt(3)
    assert found.half(float(np.mean(values)), 3) == pytest.approx(half)


def test_the_squares_of_several_designs_are_pooled() -> None:
    a, b = np.array([1.0, 1.2]), np.array([10.0, 10.4, 11.0])
    found = pooled_deviation([a.tolist(), b.tolist(), [5.0]])
    squares = ((a / a.mean() - 1) ** 2).sum() + ((b / b.mean() - 1) ** 2).sum()
    assert found is not None and found.freedom == 3
    assert found.deviation == pytest.approx(math.sqrt(squares / 3))


@pytest.mark.parametrize("designs", [[], [[1.0]], [[0.0, 0.0]]])
def test_single_values_and_zero_means_are_skipped(designs: list[list[float]]) -> None:
    assert pooled_deviation(designs) is None
