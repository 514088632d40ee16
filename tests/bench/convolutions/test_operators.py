"""Operators: presets and sampled dials."""

import pytest
from torch import nn

from dsx.bench.convolutions.layers import Layer
from dsx.bench.convolutions.operators import (
    FOUR_SPLITS,
    NETWORK_OPERATORS,
    PRESETS,
    SPLITS,
    Family,
    sampled,
)
from dsx.conv import preset_names

NAMES = {operator.name: operator for operator in PRESETS}


def test_all_presets_take_part_with_different_names() -> None:
    assert len(NAMES) == len(PRESETS)
    assert {name.split()[0] for name in NAMES} == {*preset_names(), "block"}


def test_sampled_dials_are_those_of_the_seeds_0_to_11() -> None:
    assert [operator.name for operator in sampled()] == [
        "sep g4 r1/2", "corners g8 r1", "sep g2", "sep", "sep g8 r1 b8/2", "sep g8 b32",
        "corners g4 r1/4 b32", "sep g4 r1/2 b32/2", "sep g2 b32", "learned d0.5", "sep g8 r1/4",
        "full g8 r1/4 b8/2",
    ]  # fmt: skip


def test_the_number_of_binary_filters_follows_the_outputs() -> None:
    spec = NAMES["slbf Cout/8"].canonical(nn.Conv2d(32, 64, 3))
    assert spec is not None
    assert (spec.binary_basis, spec.splits) == (8, 2)


def test_binary_bases_have_up_to_four_splits() -> None:
    binary = [each for each in (*PRESETS, *SPLITS) if each.family is Family.BINARY]
    specs = {each.name: each.canonical(nn.Conv2d(32, 64, 3)) for each in binary}
    assert len(specs) == len(binary)
    found = {name: (spec.binary_basis, spec.splits) for name, spec in specs.items() if spec}
    assert found == {
        "slbf Cout/8 s1": (8, 1), "slbf Cout/8": (8, 2), "slbf Cout/8 s4": (8, 4),
        "slbf Cout/4 s1": (16, 1), "slbf Cout/4": (16, 2), "slbf Cout/4 s4": (16, 4),
    }  # fmt: skip
    assert FOUR_SPLITS in SPLITS


@pytest.mark.parametrize(
    ("name", "expected"),
    [("scc g2 o.5", "64-128@8 1x1"), ("block g2 o.5", "64-128@16 /2"),
     ("ssc corners", "64-128@16 1x1 /2")],
)  # fmt: skip
def test_an_operator_selects_the_stage_that_it_replaces(name: str, expected: str) -> None:
    layer = Layer(in_channels=64, out_channels=128, kernel=1, stride=2, side=16)
    assert NAMES[name].layer(layer).name == expected


def test_dials_that_do_not_apply_are_recognised() -> None:
    (learned,) = (each for each in NETWORK_OPERATORS if each.spec.learned)
    assert learned.canonical(nn.Conv2d(8, 8, 1)) is None
    assert learned.family is Family.SHAPE
