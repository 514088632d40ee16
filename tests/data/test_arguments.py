"""What is allowed as an argument of a dataset."""

from pathlib import Path
from typing import Any

import pytest

from dsx.data._arguments import amount, given_normalisation, path, share, together, whole
from dsx.errors import DsxError


@pytest.mark.parametrize("value", [0, 11, "7", 7.0, True, None, [7]])
def test_what_is_no_whole_number_in_range_is_refused(value: object) -> None:
    with pytest.raises(DsxError, match=r"^size: .* \(allowed: a whole number from 1 to 10\)$"):
        whole("size", value, 1, 10)
    assert whole("size", 7, 1, 10) == 7


def test_without_an_upper_limit_none_is_named() -> None:
    with pytest.raises(DsxError, match=r"^size: 0 \(allowed: a whole number from 1\)$"):
        whole("size", 0, 1)
    assert whole("size", 10**9, 1) == 10**9


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, "0.1", None, True, float("nan")])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(DsxError, match=r"^test: .* \(allowed: a number between 0 and 1\)$"):
        share("test", value)
    assert share("test", 0.25) == 0.25


@pytest.mark.parametrize("value", [-1, "2", None, True, float("inf"), float("nan")])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(DsxError, match=r"^memory: .* \(allowed: a number from 0\)$"):
        amount("memory", value)
    assert amount("memory", 0) == 0
    assert amount("memory", 2.5) == 2.5


@pytest.mark.parametrize("value", [7, None, "", ["a"], "a\0b"])
def test_what_is_no_path_is_refused(value: object) -> None:
    with pytest.raises(DsxError, match=r"^root: .* \(allowed: a path\)$"):
        path("root", value)


def test_the_home_folder_is_known() -> None:
    assert path("root", "~/data") == Path.home() / "data"
    assert path("root", "data/~") == Path("data/~")
    with pytest.raises(DsxError, match=r"^root: '~nobody-at-all/x': Could not determine home"):
        path("root", "~nobody-at-all/x")


def test_a_given_normalisation_is_in_units_from_0_to_1() -> None:
    assert given_normalisation(None, None, 3) is None
    found = given_normalisation([0.5, 0, 1], [1, 0.2, 0.1], 3)
    assert found is not None
    assert found.mean == (127.5, 0, 255)
    assert found.deviation == pytest.approx((255, 51, 25.5))


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ([0.5], None, r"deviation: missing, but mean is given \(allowed: both or none\)"),
        (None, [0.5], r"mean: missing, but deviation is given \(allowed: both or none\)"),
        ([0.5, 0.5], [0.5], r"mean: \[0.5, 0.5\] \(allowed: 1 numbers from 0 to 1, one for each"),
        (0.5, [0.5], r"mean: 0.5 \(allowed"),
        (["0.5"], [0.5], r"mean: \['0.5'\] \(allowed"),
        ([True], [0.5], r"mean: \[True\] \(allowed"),
        ([123.7], [0.5], r"mean: \[123.7\] \(allowed"),
        ([0.5], [0], r"deviation: \[0\] \(allowed: 1 numbers above 0, up to 1, one for each"),
        ([0.5], [58.4], r"deviation: \[58.4\] \(allowed"),
        ([0.5], [float("nan")], r"deviation: \[nan\] \(allowed"),
    ],
)
def test_what_is_no_normalisation_is_refused(mean: Any, deviation: Any, message: str) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        given_normalisation(mean, deviation, 1)


def test_problems_are_told_together() -> None:
    assert together(["a"]) == "a"
    assert together(["a", "b", "c"]) == "a; b; c"
    assert together(["a", "b", "c", "d"]) == "a; b; c; and 1 more"
    assert together(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
