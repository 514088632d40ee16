"""Validation of the dials, and the JSON form of a spec."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dsx.conv import KEEP, ConvSpec, original_spec
from dsx.errors import SpecError
from tests.conv.strategies import SHAPES

WRONG: list[tuple[str, list[Any], str]] = [
    ("kernel_shape", [3, None, ["cross"], True], "kernel_shape: .* is not a string"),
    ("kernel_shape", ["cros"], r"no shape called 'cros' \(allowed: .*\). Did you mean 'cross'\?"),
    (
        "kernel_shape",
        ["", "Cross", "a.b", "cross2", "het-1", "2het", "het٤", "het0", "het04"],
        "no shape called",
    ),
    ("kernel_shape", ["het"], "needs a number of at least 1, as in 'het4'"),
    ("groups", [0, -1, 1.0, "2", "ALL", None, True, [1]], "groups: .* nor 'all'"),
    ("channel_stride", [0, -0.5, 1.01, "3/2", "1/0", "half", "", True], "channel_stride: .*0 < r"),
    ("channel_stride", [float("nan"), float("inf"), "nan", [0.5], (1,)], "channel_stride: "),
    ("binary_basis", [-1, 0.0, "4", None, False], "binary_basis: .* not a non-negative integer"),
    ("splits", [0, 1.5, "2", True], "splits: .* is not a positive integer"),
    ("block_in", [0, 1.5, None], "block_in: .* is not a positive integer"),
    ("block_out", [0, "16", False], "block_out: .* is not a positive integer"),
    ("scale", [0, 1, 1.0, "true", []], "scale: .* is neither true, false nor null"),
    ("density", [0, -0.1, 1.1, "0.5", True, float("nan")], "density: .* 0 < density <= 1"),
    ("rigid", [0, 1, None, "false"], "rigid: .* is neither true nor false"),
    ("separable", [0, 1, None, "yes"], "separable: .* is neither true nor false"),
]


@pytest.mark.parametrize(
    ("dial", "value", "reason"),
    [(dial, value, reason) for dial, values, reason in WRONG for value in values],
)
def test_invalid_values_are_rejected(dial: str, value: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        ConvSpec(**{dial: value})


@pytest.mark.parametrize(
    ("dials", "reason"),
    [
        ({"kernel_shape": "keep", "groups": 2}, "keep .* cannot be combined with other dials"),
        ({"kernel_shape": "learned", "groups": 2}, "learned shapes need groups = 1, not 2"),
        ({"kernel_shape": "learned", "binary_basis": 2}, "learned shapes need real weights"),
        ({"kernel_shape": "learned", "separable": True}, "learned .* not supported for separable"),
    ],
)
def test_incompatible_dials_are_rejected(dials: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        ConvSpec(**dials)


def test_an_unknown_dial_is_rejected_with_the_nearest_match() -> None:
    with pytest.raises(SpecError, match=r"no dial called 'group' .* Did you mean 'groups'\?"):
        ConvSpec.from_json({"group": 2})


def test_a_huge_number_is_rejected_in_one_line() -> None:
    with pytest.raises(SpecError, match="no shape called 'het9999"):
        ConvSpec(kernel_shape="het" + "9" * 5000)


@given(
    shape=st.sampled_from([*SHAPES, "het17"]),
    groups=st.one_of(st.just("all"), st.integers(1, 512)),
    stride=st.one_of(
        st.none(),
        st.just("block"),
        st.floats(1e-6, 1),
        st.fractions(min_value="1/99", max_value=1, max_denominator=99).map(str),
    ),
    basis=st.integers(0, 256),
    splits=st.integers(1, 8),
    scale=st.sampled_from([None, True, False]),
    separable=st.booleans(),
)
def test_json_round_trip(
    shape: str, groups: int | str, stride: float | str | None, basis: int, splits: int,
    scale: bool | None, separable: bool,
) -> None:  # fmt: skip
    spec = ConvSpec(
        kernel_shape=shape, groups=groups, channel_stride=stride, binary_basis=basis,
        splits=splits, scale=scale, separable=separable,
    )  # fmt: skip
    restored = ConvSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert restored == spec
    assert hash(restored) == hash(spec)


def test_json_contains_the_dials_that_differ_from_their_defaults() -> None:
    assert ConvSpec().to_json() == {}
    assert ConvSpec(groups=2, separable=True).to_json() == {"groups": 2, "separable": True}
    assert KEEP.to_json() == {"kernel_shape": "keep"}
    learned = ConvSpec(kernel_shape="learned", density=0.25, rigid=True, block_in=8)
    assert ConvSpec.from_json(learned.to_json()) == learned


def test_a_spec_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        ConvSpec().groups = 2  # type: ignore[misc]


@pytest.mark.parametrize("kernel", [1, 3, (1, 3), 4])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_keep_is_the_original_convolution(kernel: Any, groups: int) -> None:
    slot = nn.Conv2d(8, 8, kernel, groups=groups)
    assert KEEP.keeps and not ConvSpec().keeps
    assert KEEP.at(slot) == KEEP == original_spec(slot).at(slot)
    assert ConvSpec(groups=groups).at(slot) == KEEP
    assert ConvSpec(groups=4).at(slot) != KEEP


def test_dials_can_be_numpy_numbers_and_tensors() -> None:
    spec = ConvSpec(
        kernel_shape=np.str_("cross"),
        groups=np.int64(8),  # type: ignore[arg-type]
        channel_stride=np.float32(0.1),  # type: ignore[arg-type]
        binary_basis=torch.tensor(4),  # type: ignore[arg-type]
        splits=np.uint8(2),  # type: ignore[arg-type]
        scale=np.bool_(True),  # type: ignore[arg-type]
    )
    dials = {"kernel_shape": "cross", "groups": 8, "channel_stride": 0.1, "binary_basis": 4,
             "splits": 2, "scale": True}  # fmt: skip
    assert json.dumps(spec.to_json()) == json.dumps(dials)
    assert ConvSpec(density=np.float32(0.3), kernel_shape="learned").density == 0.3  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="groups: 0 is neither a positive integer nor 'all'"):
        ConvSpec(groups=np.int64(0))  # type: ignore[arg-type]


def test_the_canonical_form_has_python_numbers() -> None:
    conv = nn.Conv2d(np.int64(16), np.int64(8), np.int64(3), groups=np.int64(2))  # type: ignore[arg-type]
    assert json.dumps(ConvSpec(groups=4).at(conv).to_json()) == json.dumps(
        {"groups": 4, "channel_stride": "block"}
    )
    assert json.dumps(original_spec(conv).to_json())
