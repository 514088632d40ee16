"""The canonical form is equal if and only if the convolutions are equal."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import KEEP, ConvSpec, original_spec
from dsx.errors import SpecError
from tests.conv import naive
from tests.conv.strategies import (
    KERNELS,
    KINDS,
    ODD_SQUARES,
    PLAIN_SHAPES,
    SHAPES,
    divisors,
    learned_specs,
    slots,
    specs,
)

ALL_SHAPES = [*PLAIN_SHAPES, *(f"het{p}" for p in range(1, 8))]
Meaning = tuple[bool, frozenset[tuple[int, int, frozenset[tuple[int, int]]]]]
"""Whether a convolution is separable, and the live positions of each output and channel."""


@functools.cache
def positions(shape: str, output: int, channel: int, k: int) -> frozenset[tuple[int, int]]:
    """Return the live positions of one output and channel."""
    every = naive.kernel_positions((k, k))
    return frozenset(p for p in every if naive.alive(shape, output, channel, *p, k))


def meaning(spec: ConvSpec, cin: int, cout: int, k: int) -> Meaning:
    """Determine by loops the function of a spec on a slot."""
    separable = spec.separable and k > 1
    side, shape = (1, "full") if separable or k == 1 else (k, spec.kernel_shape)
    return separable, frozenset(
        (output, channel, positions(shape, output, channel, side))
        for output in range(cout)
        for channel in naive.window(spec, cin, cout, output)
    )


def all_specs(cin: int) -> Iterator[ConvSpec]:
    """Iterate over all settings of the dials that can differ on a slot with cin channels."""
    kinds = [(shape, False) for shape in ALL_SHAPES] + [("full", True), ("cross", True)]
    choices: list[int | str] = [*divisors(cin), "all"]
    for groups in choices:
        width = 1 if groups == "all" else cin // int(groups)
        steps = [f"{step}/{width}" for step in range(1, width + 1)]
        for stride, (shape, separable) in itertools.product([None, "block", 0.37, *steps], kinds):
            yield ConvSpec(
                kernel_shape=shape, groups=groups, channel_stride=stride, separable=separable
            )


def is_supported(spec: ConvSpec, cin: int, cout: int) -> bool:
    """Check whether groups in blocks divide the output channels."""
    blocks = spec.channel_stride in (None, "block")
    return not blocks or cout % naive.groups(spec, cin) == 0


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("cin", [1, 2, 3, 4, 5, 6])
def test_canonical_specs_are_equal_if_and_only_if_the_convolutions_are(cin: int, k: int) -> None:
    for cout in range(1, 7) if k < 5 else (1, 2, 5):
        supported = [spec for spec in all_specs(cin) if is_supported(spec, cin, cout)]
        meanings = [meaning(spec, cin, cout, k) for spec in supported]
        for own_groups in divisors(cin):
            if cout % own_groups:
                continue
            slot = nn.Conv2d(cin, cout, k, groups=own_groups)
            original = meaning(ConvSpec(groups=own_groups), cin, cout, k)
            meaning_of: dict[ConvSpec, Meaning] = {KEEP: original}
            canonical: dict[Meaning, ConvSpec] = {original: KEEP}
            for spec, means in zip(supported, meanings, strict=True):
                form = spec.at(slot)
                assert meaning_of.setdefault(form, means) == means, spec
                assert canonical.setdefault(means, form) == form, spec
                assert form.at(slot) is form or form.at(slot) == form


@pytest.mark.parametrize("cin", [2, 3, 4, 6])
def test_blocks_that_do_not_divide_the_outputs_are_rejected(cin: int) -> None:
    for cout, spec in itertools.product(range(1, 7), all_specs(cin)):
        if not is_supported(spec, cin, cout):
            with pytest.raises(SpecError, match=f"do not divide the {cout} output channels"):
                spec.at(nn.Conv2d(cin, cout, 1))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=20)
def test_idempotent_and_json_round_trip(kind: str, data: st.DataObject) -> None:
    slot = data.draw(slots(KERNELS.get(kind, ODD_SQUARES)))
    spec = data.draw(specs(slot, kind))
    form = spec.at(slot)
    assert form.at(slot) == form
    for each in (spec, form):
        assert ConvSpec.from_json(json.loads(json.dumps(each.to_json()))) == each
    assert ConvSpec.from_json(spec.to_json()).at(slot) == form


def test_a_channel_stride_is_the_exact_decimal() -> None:
    slot = nn.Conv2d(20, 20, 1)
    nine_tenths = ConvSpec(groups=2, channel_stride=0.9).at(slot)
    assert nine_tenths == ConvSpec(groups=2, channel_stride="9/10").at(slot)
    assert nine_tenths.channel_stride == "9/10"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("het7", "het14"),
        ("het7", "het999999999"),
        ("full", "het1"),
    ],
)
def test_equal_shapes_have_one_name(one: str, other: str) -> None:
    slot = nn.Conv2d(6, 7, 3)
    expected = ConvSpec(kernel_shape=one).at(slot)
    assert ConvSpec(kernel_shape=other).at(slot) == expected


def test_equal_numbers_have_one_json_form() -> None:
    slot = nn.Conv2d(4, 4, 3)
    one = ConvSpec(kernel_shape="learned", density=1).at(slot)
    other = ConvSpec(kernel_shape="learned", density=1.0).at(slot)
    assert json.dumps(one.to_json()) == json.dumps(other.to_json()) == json.dumps(
        {"kernel_shape": "learned", "density": 1.0, "block_in": 4, "block_out": 4}
    )  # fmt: skip


def test_unused_dials_are_removed() -> None:
    slot = nn.Conv2d(64, 64, 3)
    spec = ConvSpec(
        kernel_shape="cross", channel_stride=0.5, splits=2, scale=True, density=0.5, rigid=True,
        block_in=8, block_out=8,
    )  # fmt: skip
    assert spec.at(slot) == ConvSpec(kernel_shape="cross")
    learned = ConvSpec(kernel_shape="learned", density=0.5, splits=4, scale=False)
    assert learned.at(slot) == ConvSpec(kernel_shape="learned", density=0.5)


def test_blocks_larger_than_the_layer_are_one_block() -> None:
    slot = nn.Conv2d(8, 4, 3)
    wide = ConvSpec(kernel_shape="learned", density=0.5, block_in=9, block_out=100).at(slot)
    assert wide == ConvSpec(kernel_shape="learned", density=0.5).at(slot)
    assert wide != ConvSpec(kernel_shape="learned", density=0.5, block_in=4).at(slot)


@given(data=st.data(), kind=st.sampled_from([*SHAPES, "separable"]))
@settings(max_examples=60)
def test_a_binary_basis_does_not_change_the_other_dials(data: st.DataObject, kind: str) -> None:
    slot = data.draw(slots(ODD_SQUARES))
    spec = data.draw(specs(slot, kind))
    width = slot.in_channels // naive.groups(spec, slot.in_channels)
    splits = data.draw(st.sampled_from(divisors(width)))
    basis: dict[str, Any] = {"binary_basis": data.draw(st.integers(1, 9)), "splits": splits,
             "scale": data.draw(st.sampled_from([None, True, False]))}  # fmt: skip
    real = spec.at(slot)
    real = original_spec(slot) if real == KEEP else real
    assert dataclasses.replace(spec, **basis).at(slot) == dataclasses.replace(real, **basis)


@given(data=st.data(), rigid=st.booleans(), k=st.sampled_from([3, 5]))
@settings(max_examples=60)
def test_learned_specs_are_equal_if_and_only_if_their_blocks_and_targets_are(
    data: st.DataObject, rigid: bool, k: int
) -> None:
    cin, cout = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    slot = nn.Conv2d(cin, cout, 3 if rigid else k)
    one, other = (data.draw(learned_specs(rigid)) for _ in range(2))

    def blocks(spec: ConvSpec) -> tuple[list[int], list[int], float]:
        inputs = [channel // spec.block_in for channel in range(cin)]
        outputs = [output // spec.block_out for output in range(cout)]
        return inputs, outputs, spec.density or 0.25

    assert (one.at(slot) == other.at(slot)) == (blocks(one) == blocks(other))
    assert one.at(slot) != dataclasses.replace(one, rigid=not rigid).at(nn.Conv2d(cin, cout, 3))


def test_a_binary_basis_is_never_the_original_convolution() -> None:
    slot = nn.Conv2d(8, 4, 3)
    assert ConvSpec(binary_basis=4, splits=2).at(slot) == ConvSpec(binary_basis=4, splits=2)
    assert ConvSpec(binary_basis=4).at(slot) != ConvSpec(binary_basis=8).at(slot)


@pytest.mark.parametrize(
    ("dials", "slot", "reason"),
    [
        ({"groups": 3}, (8, 8, 3), r"groups = 3 does not divide the 8 .*\(allowed: 1, 2, 4, 8\)"),
        ({"groups": 16}, (8, 8, 3), "groups = 16 does not divide the 8 input channels"),
        ({"groups": 4}, (8, 6, 3), "4 groups in blocks do not divide the 6 output channels"),
        ({"kernel_shape": "cross"}, (8, 8, 4), "cross needs an odd square kernel.*4 x 4.*full"),
        ({"kernel_shape": "het2"}, (8, 8, (1, 3)), "het2 needs an odd square kernel.* 1 x 3 "),
        ({"kernel_shape": "learned"}, (8, 8, 1), "learned shapes need a kernel larger than 1 x 1"),
        ({"kernel_shape": "learned"}, (8, 8, 4), "learned needs an odd square kernel.*4 x 4"),
        ({"kernel_shape": "learned"}, (8, 8, (1, 3)), "learned needs an odd square kernel.*1 x 3"),
        ({"kernel_shape": "learned", "rigid": True}, (8, 8, 5), "rigid.* 3 x 3 .* 5 x 5"),
        ({"binary_basis": 4, "splits": 3}, (8, 8, 3), "splits = 3 does not divide.* 8 channels"),
        ({"binary_basis": 4, "splits": 4, "groups": 4}, (8, 8, 3), "splits = 4 .* 2 channels"),
    ],
)
def test_errors_state_the_reason(
    dials: dict[str, object], slot: tuple[int, int, int], reason: str
) -> None:
    spec = ConvSpec.from_json(dials)
    with pytest.raises(SpecError, match=reason):
        spec.at(nn.Conv2d(*slot))


def test_other_kernels_than_odd_squares_can_be_full_or_separable() -> None:
    for kernel in ((1, 3), (2, 2), (4, 3)):
        slot = nn.Conv2d(8, 8, kernel)
        assert ConvSpec().at(slot) == KEEP
        assert ConvSpec(kernel_shape="cross", separable=True).at(slot).separable
