"""Attributes of a nn.Conv2d that were changed after its construction."""

from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from dsx.conv import ConvSpec, build, from_conv2d
from dsx.conv.sparsity.attributes import disagreement, normalise_attributes, pair, sizes_of
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import SpecError, Unsupported

SAME_SIZE = [16.0, np.float64(16), np.int32(16), Decimal(16), Fraction(16), np.array([16]),
             torch.tensor(16)]  # fmt: skip


def conv(**attributes: object) -> nn.Conv2d:
    built = nn.Conv2d(16, 16, 3, padding=1)
    vars(built).update(attributes)
    return built


@pytest.mark.parametrize("name", ["in_channels", "out_channels"])
@pytest.mark.parametrize("size", SAME_SIZE, ids=repr)
def test_equal_sizes_of_another_type_are_consistent(name: str, size: object) -> None:
    changed = conv(**{name: size})
    assert Geometry.of(changed) == Geometry.of(conv())
    normalise_attributes(changed)
    assert type(getattr(changed, name)) is int
    assert getattr(changed, name) == 16


@pytest.mark.parametrize(
    ("name", "value", "both"),
    [("stride", 2, (2, 2)), ("stride", np.int64(2), (2, 2)), ("stride", [2], (2, 2)),
     ("padding", 0, (0, 0)), ("padding", np.int64(2), (2, 2)), ("dilation", 2, (2, 2)),
     ("dilation", torch.tensor(2), (2, 2)), ("kernel_size", 3, (3, 3)),
     ("kernel_size", (3.0, 3.0), (3, 3)), ("kernel_size", np.array([3, 3]), (3, 3))],
)  # fmt: skip
def test_one_number_is_equivalent_to_two(name: str, value: object, both: tuple[int, int]) -> None:
    changed, images = conv(**{name: value}), torch.randn(1, 16, 8, 8)
    expected = conv(**{name: both})
    assert changed(images).shape == expected(images).shape
    assert Geometry.of(changed) == Geometry.of(expected)
    new = build(ConvSpec(kernel_shape="cross"), changed)
    assert new(images).shape == expected(images).shape
    assert getattr(new, name) == both
    assert from_conv2d(changed, ConvSpec()) is changed
    normalise_attributes(changed)
    assert getattr(changed, name) == both
    assert repr(changed) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("in_channels", 3, "its in_channels is 3, but its weight of 16 x 16 x 3 x 3 requires 16: "
      "set in_channels to 16"),
     ("in_channels", None, "its in_channels is None, but its weight"),
     ("in_channels", "16", "its in_channels is '16', but its weight"),
     ("out_channels", 24, "its out_channels is 24, but its weight of 16 x 16 x 3 x 3 requires"),
     ("kernel_size", (5, 3), "its kernel_size is (5, 3), but its weight of 16 x 16 x 3 x 3 "
      "requires (3, 3): set kernel_size to (3, 3)"),
     ("stride", None, "its stride is None, neither one nor two integers"),
     ("padding", np.array([1, 1]), "its padding is array([1, 1]), neither one nor two int"),
     ("dilation", (1, 1, 1), "its dilation is (1, 1, 1), neither one nor two integers")],
)  # fmt: skip
def test_an_inconsistency_is_described_in_one_line_and_rejected(
    name: str, value: object, reason: str
) -> None:
    changed = conv(**{name: value})
    problem = disagreement(changed)
    assert problem is not None and problem.reason.startswith(reason)
    normalise_attributes(changed)
    assert getattr(changed, name) is value
    for attempt in (
        lambda: Geometry.of(changed),
        lambda: sizes_of(changed),
        lambda: build(ConvSpec(), changed),
        lambda: from_conv2d(changed, ConvSpec()),
    ):
        with pytest.raises(SpecError, match=f"^its {name} is "):
            attempt()


def test_sizes_of_a_grouped_convolution_are_those_of_all_groups() -> None:
    changed = nn.Conv2d(8, 12, (1, 3), groups=4)
    assert not disagreement(changed)
    assert (sizes_of(changed).in_channels, sizes_of(changed).out_channels) == (8, 12)
    changed.groups = 1
    problem = disagreement(changed)
    assert problem is not None
    assert problem.reason.startswith("its in_channels is 8, but its weight of 12 x 2 x 1 x 3")


def test_a_changed_padding_that_torch_does_not_read_is_inconsistent() -> None:
    changed = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    assert not disagreement(changed)
    changed.padding = (0, 0)
    problem = disagreement(changed)
    assert problem is not None
    assert problem.reason.startswith(
        "its padding was changed to (0, 0), but in padding_mode 'reflect' torch uses"
    )
    changed.padding_mode = "zeros"
    assert not disagreement(changed)


@pytest.mark.parametrize("kernel", [(3, 3), (4, 2)])
@pytest.mark.parametrize("mode", ["circular", "replicate"])
def test_same_padding_in_another_mode_is_consistent(
    kernel: tuple[int, int], mode: Literal["circular", "replicate"]
) -> None:
    changed = nn.Conv2d(4, 4, kernel, padding="same", dilation=(1, 2), padding_mode=mode)
    assert not disagreement(changed)


def test_a_weight_of_another_rank_is_inconsistent() -> None:
    changed = nn.Conv2d(4, 4, 3)
    changed.weight = nn.Parameter(torch.zeros(4, 4, 3))
    assert disagreement(changed) == Unsupported("its weight has 3 dimensions, not 4")


def test_other_values_are_not_a_pair() -> None:
    assert pair((1, 2)) == (1, 2)
    for value in (None, "1", 1.5, (), (1, 2, 3), (1, None), np.array([1, 1])):
        assert pair(value) is None
