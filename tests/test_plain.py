"""Conversion of numbers of other libraries to built-in numbers."""

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from dsx.plain import canonical_hash, plain, plain_fields, written


class Size(IntEnum):
    SMALL = 3


class Mode(str, Enum):  # noqa: UP042 - its str() is "Mode.FAST"
    FAST = "fast"


class Pair(NamedTuple):
    one: int
    other: float


NUMBERS = [
    (np.int64(8), 8),
    (np.uint8(8), 8),
    (np.float32(0.5), 0.5),
    (np.float64(0.1), 0.1),
    (np.longdouble(0.5), 0.5),
    (Fraction(3, 2), 1.5),
    (Fraction(1, 3), 1 / 3),
    (Decimal("0.1"), 0.1),
    (np.bool_(True), True),
    (np.str_("cross"), "cross"),
    (np.array(3), 3),
    (np.array([1, 8, 8]), [1, 8, 8]),
    (torch.tensor(4), 4),
    (torch.tensor(0.25, dtype=torch.bfloat16), 0.25),
    (torch.tensor(True), True),
    (torch.Size([2, 3]), (2, 3)),
    (Size.SMALL, 3),
    (Mode.FAST, "fast"),
    (Pair(np.int64(1), np.float32(2.0)), Pair(1, 2.0)),  # type: ignore[arg-type]
    ({"a": [np.int64(1), (np.float32(2.0),)]}, {"a": [1, (2.0,)]}),
]


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=repr)
def test_numbers_become_builtin_numbers(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(expected))


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "text", b"bytes", json, ...])
def test_other_values_are_unchanged(value: object) -> None:
    assert plain(value) is value


def test_numbers_are_converted_by_their_text() -> None:
    assert plain(np.float32(0.1)) == float(np.float32(0.1)) != 0.1
    assert written(np.float32(0.1)) == written(np.float16(0.1)) == written(0.1) == 0.1
    assert (written(Fraction(1, 3)), written(np.int64(2)), written("1/3")) == ("1/3", 2, "1/3")


def test_the_fields_of_a_frozen_dataclass_are_converted() -> None:
    @dataclass(frozen=True)
    class Sides:
        rows: int
        columns: tuple[int, ...]

        def __post_init__(self) -> None:
            plain_fields(self)

    made = Sides(np.int64(2), (np.int64(3),))  # type: ignore[arg-type]
    assert (type(made.rows), type(made.columns[0]), made) == (int, int, Sides(2, (3,)))


def test_a_canonical_hash_is_that_of_the_sorted_json() -> None:
    # printf '{"a": 1, "b": [2, 3]}' | sha256sum
    expected = "fd28b17488e0d3ec39d085da9a7acf40e0a6e4f3bbc310f112a1e4c5490394fc"
    for facts in ({"a": 1, "b": [2, 3]}, {"b": [2, 3], "a": 1}):
        assert canonical_hash(facts) == expected[:12]
        assert canonical_hash(facts, 32) == expected[:32]
    assert canonical_hash({"a": 1, "b": [3, 2]}) != expected[:12]
