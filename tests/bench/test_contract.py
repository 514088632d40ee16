"""Contract of all benchmarks in the folder."""

import pytest

from dsx.bench import Bench
from dsx.lookup import find, names


def test_there_are_benchmarks() -> None:
    assert "train" in names(Bench)


@pytest.mark.parametrize("name", names(Bench))
def test_a_benchmark_describes_what_it_measures_in_one_line(name: str) -> None:
    measures = find(Bench, name).measures
    assert measures and "\n" not in measures


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    # Even its quick trial takes a minute.
    [pytest.param(n, marks=[pytest.mark.long] * (n == "latency")) for n in names(Bench)],
)
def test_a_quick_trial_returns_rows_with_equal_keys(name: str) -> None:
    reported: list[str] = []
    rows = find(Bench, name).run(True, reported.append)
    assert rows and reported
    for row in rows:
        assert row.keys() == rows[0].keys()
        assert {type(value) for value in row.values()} <= {str, int, float}
