"""Ticks and cells of an axis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.report.plotting.axis import Axis

NUMBERS = st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 3)), min_size=1, max_size=9)


def test_ticks_are_round() -> None:
    axis = Axis.over([0.87, 0.9371], "fraction", log=False)
    assert axis.ticks(4) == pytest.approx([0.88, 0.90, 0.92])
    assert Axis.over([0, 8], "", log=False).ticks(8) == list(range(9))


def test_logarithmic_ticks_are_round_and_few() -> None:
    axis = Axis.over([1.5e6, 4e8], "", log=True)
    assert axis.ticks(8) == pytest.approx([2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8])
    assert axis.ticks(5) == pytest.approx([3e6, 1e7, 3e7, 1e8, 3e8])
    assert axis.ticks(3) == pytest.approx([1e7, 1e8])
    assert Axis.over([1, 3e8], "", log=True).ticks(4) == pytest.approx([1, 1e3, 1e6])
    assert axis.ticks(1) == [1.5e6, 4e8]


def test_cells_are_spaced_by_differences_or_ratios() -> None:
    assert Axis.over([1, 100], "", log=False).cell(10, 100) == 9
    assert Axis.over([1, 100], "", log=True).cell(10, 101) == 50


def test_a_single_value_is_in_the_middle() -> None:
    for value in (0.0, 5.0, -3e8):
        axis = Axis.over([value, value], "", log=True)
        assert axis.low < value < axis.high
        assert axis.cell(value, 41) == 20


@given(NUMBERS, st.booleans(), st.integers(2, 12))
def test_values_and_ticks_are_within_the_axis(values: list[float], log: bool, most: int) -> None:
    if log:
        values = [abs(value) + 1 for value in values]
    axis = Axis.over(values, "", log=log)
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most + 1
    for value in [*values, *ticks]:
        assert 0 <= axis.cell(value, 50) <= 49
    cells = [axis.cell(value, 1000) for value in sorted(values)]
    assert cells == sorted(cells)
