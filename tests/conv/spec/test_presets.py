"""Presets as settings of the dials."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from torch import nn

from dsx.conv import KEEP, ConvSpec, preset, preset_names
from dsx.conv.spec.presets import preset_arguments
from dsx.errors import SpecError

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("standard", {}, {}),
    ("depthwise", {}, {"groups": "all"}),
    ("depthwise", {"kernel_shape": "cross"}, {"groups": "all", "kernel_shape": "cross"}),
    ("group", {}, {"groups": 2}),
    ("group", {"groups": 4}, {"groups": 4}),
    ("pointwise", {}, {"kernel_shape": "point"}),
    ("pointwise", {"groups": 2}, {"kernel_shape": "point", "groups": 2}),
    (
        "scc",
        {"groups": 2, "overlap": 0.5},
        {"kernel_shape": "point", "groups": 2, "channel_stride": 0.5, "separable": True},
    ),
    (
        "scc",
        {"groups": 4, "overlap": 0.33, "separable": False},
        {"kernel_shape": "point", "groups": 4, "channel_stride": 0.67},
    ),
    (
        "scc",
        {"binary_basis": 8},
        {"kernel_shape": "point", "groups": 2, "channel_stride": 0.5, "separable": True,
         "binary_basis": 8},
    ),
    ("ssc", {}, {"kernel_shape": "cross"}),
    ("ssc", {"kernel_shape": "corners", "groups": 2}, {"kernel_shape": "corners", "groups": 2}),
    ("hetconv", {}, {"kernel_shape": "het4"}),
    ("hetconv", {"p": 8}, {"kernel_shape": "het8"}),
    ("lhc", {}, {"kernel_shape": "learned", "density": 0.25}),
    ("lhc", {"density": 0.5, "rigid": True},
     {"kernel_shape": "learned", "density": 0.5, "rigid": True}),
    ("slbf", {}, {"binary_basis": 64, "splits": 2}),
    ("slbf", {"k": 16, "splits": 4, "scale": True},
     {"binary_basis": 16, "splits": 4, "scale": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "dials"), CASES)
def test_a_preset_sets_these_dials(
    name: str, arguments: dict[str, Any], dials: dict[str, Any]
) -> None:
    assert preset(name, **arguments) == ConvSpec(**dials)


def test_every_preset_is_tested() -> None:
    assert {name for name, _, _ in CASES} == set(preset_names())


def test_the_overlap_is_the_exact_decimal() -> None:
    assert preset("scc", groups=3, overlap="1/3").channel_stride == "2/3"
    assert preset("scc", overlap=0).channel_stride == 1.0
    assert preset("scc", overlap=0.1).channel_stride == 0.9
    assert preset("scc", overlap="0.05").channel_stride == 0.95


def test_a_preset_equal_to_the_original_convolution_is_keep() -> None:
    assert preset("standard").at(nn.Conv2d(8, 8, 3)) == KEEP
    assert preset("pointwise").at(nn.Conv2d(8, 8, 1)) == KEEP
    assert preset("depthwise").at(nn.Conv2d(8, 8, 3, groups=8)) == KEEP


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("hetcon", {}, r"no preset called 'hetcon' .* Did you mean 'hetconv'\?"),
        ("scc", {"overlap": 1}, "overlap: 1 is not in 0 <= overlap < 1"),
        ("scc", {"overlap": -0.5}, "overlap: -0.5 is not in 0 <= overlap < 1"),
        ("scc", {"overlap": "much"}, "overlap: 'much' is not in 0 <= overlap < 1"),
        ("scc", {"overlap": None}, "overlap: None is not in 0 <= overlap < 1"),
        ("scc", {"channel_stride": 0.5}, "preset scc: .*channel_stride"),
        ("standard", {"grups": 2}, "preset standard: .*unexpected keyword argument 'grups'"),
        ("hetconv", {"p": 0}, "no shape called 'het0'"),
        ("hetconv", {"p": "x"}, "no shape called 'hetx'"),
        ("group", {"groups": 0}, "groups: 0 is neither"),
    ],
)
def test_errors_state_the_reason(name: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        preset(name, **arguments)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_accepts_the_listed_arguments(name: str) -> None:
    arguments = preset_arguments(name)
    assert len(set(arguments)) == len(arguments)
    assert set(arguments) >= {field.name for field in dataclasses.fields(ConvSpec)}
    for argument in arguments:
        with pytest.raises(SpecError) as caught:
            preset(name, **{argument: []})
        assert "unexpected" not in str(caught.value)
    with pytest.raises(SpecError, match="unexpected keyword argument 'overlpa'"):
        preset(name, overlpa=0.5)


def test_specific_arguments_of_a_preset_come_first() -> None:
    assert preset_arguments("scc")[:3] == ["groups", "overlap", "separable"]


def test_a_dial_that_a_preset_sets_is_rejected() -> None:
    with pytest.raises(SpecError, match=r"^preset scc: sets 'kernel_shape' itself$"):
        preset("scc", kernel_shape="full")


def test_arguments_can_be_numpy_numbers() -> None:
    assert preset("scc", groups=np.int64(2), overlap=np.float32(0.3)) == preset(
        "scc", groups=2, overlap=0.3
    )
    assert preset("hetconv", p=np.int64(4)) == preset("hetconv", p=4)
