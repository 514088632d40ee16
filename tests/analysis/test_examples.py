"""Results per example survive encoding, in one bit each if possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.examples import ExampleResults


@given(st.lists(st.booleans(), min_size=1), st.text(max_size=40))
def test_binary_results_take_one_bit_each(results: list[bool], name: str) -> None:
    found = ExampleResults.of([float(each) for each in results], name)
    assert found.values.tolist() == results
    assert (found.count, found.is_binary) == (len(results), True)
    assert len(found.content) <= 21 + (len(results) + 7) // 8


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1))
def test_other_results_are_kept_as_float32(results: list[float]) -> None:
    found = ExampleResults.of(results, "x")
    assert found.values.tolist() == results
    assert found == ExampleResults(found.content)


def test_the_examples_are_identified() -> None:
    results = [0.0, 1.0]
    one, other = ExampleResults.of(results, "one"), ExampleResults.of(results, "other")
    assert one.examples == ExampleResults.of([1.0, 1.0], "one").examples != other.examples
    # Fewer examples of the same name are others.
    assert one.examples != ExampleResults.of([1.0], "one").examples


@pytest.mark.parametrize("results", [[], [float("nan")], [1.0, float("inf")]])
def test_other_values_are_no_results(results: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^results per example: "):
        ExampleResults.of(results, "x")


def test_damaged_content_is_refused() -> None:
    content = ExampleResults.of(np.ones(9), "x").content
    for damaged in (b"", content[:-1], content + b"0", b"x" + content[1:], content[:10]):
        with pytest.raises(ValueError, match=r"^results per example: "):
            ExampleResults(damaged)
