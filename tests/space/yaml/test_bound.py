"""Parsing of bounds, and their violations."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.errors import quoted
from dsx.space.yaml.bound import Bound, parse_bound


@pytest.mark.parametrize(
    ("text", "at_most", "limit", "relative"),
    [
        ("<= 80%", True, 0.8, True),
        (" <=80 % ", True, 0.8, True),
        (">= 99.5%", False, 0.995, True),
        ("<= 2.5M", True, 2.5e6, False),
        ("<=3k", True, 3000, False),
        ("<= .5G", True, 5e8, False),
        (">= 0.97", False, 0.97, False),
        ("<= 1e6", True, 1e6, False),
        ("<= 2.e-3", True, 2e-3, False),
        ("<= 0", True, 0, False),
        ("<= 57%", True, 0.57, True),
    ],
)
def test_bounds_are_parsed(text: str, at_most: bool, limit: float, relative: bool) -> None:
    assert parse_bound(text) == Bound(at_most=at_most, limit=limit, relative=relative)


@pytest.mark.parametrize(
    "text",
    [
        "", "80%", "80", "< 80%", "> 3", "= 3", "== 3", "<= ", "<= %", "<= -3", "<= 3 T", "<= 3K",
        "<= 1,000", "<= 1 000", "<= 3%M", "<= inf", "<= nan", "<= 1e999", "<= 0x10", "80% <=",
        "<= 3\n<= 4", "<= 3; >= 1",
    ],
)  # fmt: skip
def test_invalid_bounds_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{quoted(text)} is not a bound")):
        parse_bound(text)


def test_the_violation_is_positive_if_the_bound_is_violated() -> None:
    at_most, at_least = parse_bound("<= 80%"), parse_bound(">= 0.9")
    assert [at_most.violation(value, 200) for value in (150, 160, 170)] == [-10, 0, 10]
    assert (
        at_least.violation(0.95, 1) < 0 == at_least.violation(0.9, 1) < at_least.violation(0.8, 1)
    )
    assert parse_bound("<= 3k").violation(3001, 1) == 1


@given(st.integers(1, 10**9), st.integers(1, 200), st.sampled_from(["<=", ">="]))
def test_a_percentage_of_a_count_is_exact(hundredth: int, percent: int, sense: str) -> None:
    # In floating-point arithmetic, 0.29 * 100 is less than 29.
    violation = parse_bound(f"{sense} {percent}%").violation(hundredth * percent, hundredth * 100)
    assert violation == 0


@given(
    st.floats(0, 1e12),
    st.floats(1e-3, 1e12),
    st.decimals(0, 500, places=3),
    st.sampled_from(["<=", ">="]),
)
def test_the_sign_of_the_violation_is_exact(
    value: float, baseline: float, percent: Fraction, sense: str
) -> None:
    difference = Fraction(value) - Fraction(percent) / 100 * Fraction(baseline)
    is_violated = difference > 0 if sense == "<=" else difference < 0
    violation = parse_bound(f"{sense} {percent}%").violation(value, baseline)
    # Only violations below the floating-point resolution may be lost by rounding.
    if abs(difference) > 1e-12 * baseline:
        assert (violation > 0) == is_violated
