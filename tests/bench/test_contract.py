"""What every benchmark keeps, because its file exists."""

import pytest

from dsx.bench import Bench
from dsx.lookup import find, names


def test_there_are_benchmarks() -> None:
    assert "train" in names(Bench)


@pytest.mark.parametrize("name", names(Bench))
def test_a_benchmark_says_what_it_measures(name: str) -> None:
    measures = find(Bench, name).measures
    assert measures and "\n" not in measures


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    # It takes a minute even where it is only tried.
    [pytest.param(n, marks=[pytest.mark.long] * (n == "latency")) for n in names(Bench)],
)
def test_a_benchmark_can_be_tried(name: str) -> None:
    told: list[str] = []
    rows = find(Bench, name).run(True, told.append)
    assert rows and told
    for row in rows:
        assert row.keys() == rows[0].keys()
        assert {type(value) for value in row.values()} <= {str, int, float}
