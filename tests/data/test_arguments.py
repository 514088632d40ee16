"""Validation of the arguments of datasets."""

from pathlib import Path
from typing import Any

import pytest

from dsx.data._arguments import (
    check_fraction,
    check_integer,
    check_non_negative,
    check_path,
    join_problems,
    parse_normalisation,
)
from dsx.errors import DsxError


@pytest.mark.parametrize("value", [0, 11, "7", 7.0, True, None, [7]])
def test_invalid_integers_are_rejected(value: object) -> None:
    with pytest.raises(DsxError, match=r"^size: .* \(allowed: an integer from 1 to 10\)$"):
        check_integer("size", value, 1, 10)
    assert check_integer("size", 7, 1, 10) == 7


def test_an_integer_may_have_no_upper_limit() -> None:
    with pytest.raises(DsxError, match=r"^size: 0 \(allowed: an integer of at least 1\)$"):
        check_integer("size", 0, 1)
    assert check_integer("size", 10**9, 1) == 10**9


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, "0.1", None, True, float("nan")])
def test_invalid_fractions_are_rejected(value: object) -> None:
    with pytest.raises(DsxError, match=r"^test: .* \(allowed: a number between 0 and 1\)$"):
        check_fraction("test", value)
    assert check_fraction("test", 0.25) == 0.25


@pytest.mark.parametrize("value", [-1, "2", None, True, float("inf"), float("nan")])
def test_numbers_that_are_negative_or_not_finite_are_rejected(value: object) -> None:
    with pytest.raises(DsxError, match=r"^memory: .* \(allowed: a number of at least 0\)$"):
        check_non_negative("memory", value)
    assert check_non_negative("memory", 0) == 0
    assert check_non_negative("memory", 2.5) == 2.5


@pytest.mark.parametrize("value", [7, None, "", ["a"], "a\0b"])
def test_invalid_paths_are_rejected(value: object) -> None:
    with pytest.raises(DsxError, match=r"^root: .* \(allowed: a path\)$"):
        check_path("root", value)


def test_the_home_directory_is_expanded() -> None:
    assert check_path("root", "~/data") == Path.home() / "data"
    assert check_path("root", "data/~") == Path("data/~")
    with pytest.raises(DsxError, match=r"^root: '~nobody-at-all/x': Could not determine home"):
        check_path("root", "~nobody-at-all/x")


def test_a_given_normalisation_is_in_units_from_0_to_1() -> None:
    assert parse_normalisation(None, None, 3) is None
    found = parse_normalisation([0.5, 0, 1], [1, 0.2, 0.1], 3)
    assert found is not None
    assert found.mean == (127.5, 0, 255)
    assert found.deviation == pytest.approx((255, 51, 25.5))


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ([0.5], None, r"deviation: missing, but mean is given \(allowed: both or none\)"),
        (None, [0.5], r"mean: missing, but deviation is given \(allowed: both or none\)"),
        ([0.5, 0.5], [0.5], r"mean: \[0.5, 0.5\] \(allowed: 1 numbers from 0 to 1, one per"),
        (0.5, [0.5], r"mean: 0.5 \(allowed"),
        (["0.5"], [0.5], r"mean: \['0.5'\] \(allowed"),
        ([True], [0.5], r"mean: \[True\] \(allowed"),
        ([123.7], [0.5], r"mean: \[123.7\] \(allowed"),
        ([0.5], [0], r"deviation: \[0\] \(allowed: 1 numbers above 0, up to 1, one per"),
        ([0.5], [58.4], r"deviation: \[58.4\] \(allowed"),
        ([0.5], [float("nan")], r"deviation: \[nan\] \(allowed"),
    ],
)
def test_invalid_normalisation_arguments_are_rejected(
    mean: Any, deviation: Any, message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        parse_normalisation(mean, deviation, 1)


def test_problems_are_joined() -> None:
    assert join_problems(["a"]) == "a"
    assert join_problems(["a", "b", "c"]) == "a; b; c"
    assert join_problems(["a", "b", "c", "d"]) == "a; b; c; and 1 more"
    assert join_problems(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
