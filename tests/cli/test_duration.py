"""Durations on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.cli._duration import seconds
from dsx.errors import DsxError


@given(st.integers(0, 9_999), st.sampled_from([("", 1), ("s", 1), ("m", 60), ("h", 3600)]))
def test_units(number: int, unit: tuple[str, int]) -> None:
    suffix, factor = unit
    assert seconds("--for", f" {number}{suffix} ") == number * factor
    assert seconds("--for", f"{number}.5{suffix}") == (number + 0.5) * factor


@pytest.mark.parametrize(
    "text", ["", "5x", "1h30m", "-1s", "s", "1e3", ".5m", "5 m", "٣s", "10001h", "9" * 999]
)
def test_other_text_is_rejected(text: str) -> None:
    with pytest.raises(DsxError, match=r"^--for: '.*' .*\(allowed: 90s, 5m, 2h, up to 10000h\)$"):
        seconds("--for", text)
