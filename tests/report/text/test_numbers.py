"""Human-readable numbers with units, intervals and flags."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.estimate import Estimate
from dsx.report.text.numbers import (
    annotated,
    change,
    counted_unit,
    heading,
    human,
    human_interval,
    relative,
    tick,
    title,
    without_unit,
)


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (313_201_664, "multiply-adds", "313.2 M"),
        (20_713_472, "", "20.7 M"),
        (1_814_073_344, "multiply-adds", "1.81 G"),
        (61_010, "", "61.0 k"),
        (577, "", "577"),
        (0, "", "0"),
        (999_949, "", "999.9 k"),
        (999_960, "", "1.00 M"),
        (9_996, "", "10.0 k"),
        (12.3456, "", "12.3"),
        (-2_500, "", "-2.50 k"),
        (2e15, "", "2000.0 T"),
        (18_474_304, "bit", "18.5 M"),
        (0.412, "ms", "0.412 ms"),
        (0.0004126, "ms", "0.000413 ms"),
        (9.9996, "ms", "10.0 ms"),
        (1234.5, "ms", "1234 ms"),
        (0, "ms", "0 ms"),
        (1.25, "MB", "1.25 MB"),
        (0.9864, "fraction", "98.6 %"),
        (1.0, "fraction", "100.0 %"),
        (math.inf, "ms", "inf ms"),
        (math.inf, "", "inf"),
    ],
)
def test_human(value: float, unit: str, written: str) -> None:
    assert human(value, unit) == written


@given(st.floats(1e-6, 1e14), st.sampled_from(["", "ms", "bit", "multiply-adds"]))
def test_human_keeps_about_three_digits(value: float, unit: str) -> None:
    number, _, prefix = human(value, unit).partition(" ")
    factor = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}.get(prefix, 1.0)
    assert float(number) * factor == pytest.approx(value, rel=6e-3)


@pytest.mark.parametrize(
    ("low", "value", "high", "unit", "written"),
    [
        (0.412, 0.412, 0.412, "ms", "0.412 ms"),
        (0.4, 0.412, 0.42, "ms", "0.412 ±0.012 ms"),
        (0.41, 0.412, 0.442, "ms", "0.412 ±0.03 ms"),
        (0.4117, 0.412, 0.4123, "ms", "0.412 ±0.0003 ms"),
        (0.982, 0.986, 0.989, "fraction", "98.6 ±0.4 %"),
        (20_000_000, 20_713_472, 21_000_000, "", "20.7 ±0.7 M"),
        (0.1, 0.5, math.inf, "ms", "0.500 ±inf ms"),
        (300, 412, 500, "ms", "412 ±112 ms"),
        (0.1, math.inf, math.inf, "ms", "inf ms"),
    ],
)
def test_interval(low: float, value: float, high: float, unit: str, written: str) -> None:
    assert human_interval(Estimate(value=value, low=low, high=high), unit) == written


@pytest.mark.parametrize(
    ("value", "baseline", "unit", "written"),
    [
        (63, 100, "", "63%"),
        (20.7, 313.2, "", "6.6%"),
        (9.96, 100, "", "10%"),
        (0.0, 100, "ms", "0.0%"),
        (400, 100, "ms", "400%"),
        (0.990, 0.986, "fraction", "+0.4 pt"),
        (0.986, 0.990, "fraction", "-0.4 pt"),
        (0.98601, 0.986, "fraction", "0.0 pt"),
        (99.0, 98.6, "%", "+0.4 pt"),
        (5, 0, "ms", ""),
        (math.inf, 5, "ms", ""),
        (5, math.inf, "fraction", ""),
    ],
)
def test_relative(value: float, baseline: float, unit: str, written: str) -> None:
    assert relative(value, baseline, unit) == written


@pytest.mark.parametrize(
    ("name", "unit", "short", "long"),
    [
        ("latency_ms", "ms", "latency", "latency (ms)"),
        ("peak_memory_mb", "MB", "peak memory", "peak memory (MB)"),
        ("flops", "multiply-adds", "flops", "flops (multiply-adds)"),
        ("accuracy", "fraction", "accuracy", "accuracy (%)"),
        ("bits", "bit", "bits", "bits"),
        ("bits", "bits", "bits", "bits"),
        ("params", "", "params", "params"),
        ("trial", "", "trial", "trial"),
    ],
)
def test_names(name: str, unit: str, short: str, long: str) -> None:
    assert (title(name, unit), heading(name, unit)) == (short, long)


def test_seeds_and_flags_follow_the_interval() -> None:
    number = Estimate(value=0.975, low=0.963, high=0.987)
    assert annotated(number, "fraction") == "97.5 ±1.2 %"
    assert annotated(replace(number, seeds=3), "fraction") == "97.5 ±1.2 % of 3 seeds"
    assert annotated(replace(number, converged=False), "fraction") == "97.5 ±1.2 %~"
    assert annotated(replace(number, noisy=True, converged=False), "ms") == "0.975 ±0.012 ms~!"


def test_the_unit_of_a_count_is_not_shown_after_its_numbers() -> None:
    assert counted_unit("flops", "multiply-adds") == "multiply-adds"
    assert (
        counted_unit("bits", "bit")
        == counted_unit("params", "")
        == counted_unit("latency_ms", "ms")
        == ""
    )


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (2e7, "multiply-adds", "20 M"),
        (0.985, "fraction", "98.5"),
        (0.1 + 0.2, "ms", "0.3"),
        (5, "", "5"),
    ],
)
def test_tick(value: float, unit: str, written: str) -> None:
    assert tick(value, unit) == written


def between(low: float, value: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


@pytest.mark.parametrize(
    ("value", "baseline", "unit", "text"),
    [
        (between(1.4, 1.5, 1.6), between(1.6, 2, 2.4), "ms", "25 % lower"),
        (between(2.5, 2.5, 2.5), between(2, 2, 2), "ms", "25 % higher"),
        (between(1.99, 1.99, 1.99), between(2, 2, 2), "ms", "0.5 % lower"),
        (between(3, 3, 3), between(200, 200, 200), "bit", "1.5 % of the baseline's"),
        (between(2, 2, 2), between(2, 2, 2), "ms", "unchanged"),
        (between(1, 1, 1), between(0, 0, 0), "ms", ""),
        (between(1, math.inf, math.inf), between(1, 1, 1), "ms", ""),
        (between(0.9, 0.9, 0.9), between(0.917, 0.917, 0.917), "fraction", "-1.7 points"),
        (between(0.9, 0.9, 0.9), between(0.8997, 0.8997, 0.8997), "fraction", "+0.03 points"),
    ],
)
def test_change(value: Estimate, baseline: Estimate, unit: str, text: str) -> None:
    assert change(value, baseline, unit, decided=True) == text
    undecided = change(value, baseline, unit, decided=False)
    assert undecided == (text if text in ("", "unchanged") else f"{text} (undecided)")


@pytest.mark.parametrize(
    ("unit", "text"), [("ms", "0.412 ±0.012"), ("fraction", "41.2 ±1.2"), ("", "0.412 ±0.012")]
)
def test_without_unit(unit: str, text: str) -> None:
    assert without_unit(between(0.4, 0.412, 0.424), unit) == text
